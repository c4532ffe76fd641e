/**
 * Header fields as they were sent: every line kept, names lower-cased, values combined as RFC 9421 section 2.1
 * says. Built from Node's `rawHeaders`, since `headers` drops repeats in silence.
 * @module
 */
export class Fields {
  private readonly byName = new Map<string, string | string[]>();

  /** @param raw names and values in turn, as `rawHeaders` has them. */
  static fromRaw(raw: readonly string[]): Fields {
    const fields = new Fields();
    for (let i = 0; i + 1 < raw.length; i += 2) fields.append(raw[i] as string, raw[i + 1] as string);
    return fields;
  }

  static fromEntries(entries: Iterable<readonly [string, string]>): Fields {
    const fields = new Fields();
    for (const [name, value] of entries) fields.append(name, value);
    return fields;
  }

  append(name: string, value: string): void {
    const key = name.toLowerCase();
    const line = trim(value);
    const held = this.byName.get(key);
    if (held === undefined) this.byName.set(key, line);
    else if (typeof held === 'string') this.byName.set(key, [held, line]);
    else held.push(line);
  }

  set(name: string, value: string): void {
    this.byName.set(name.toLowerCase(), trim(value));
  }

  delete(name: string): void {
    this.byName.delete(name.toLowerCase());
  }

  has(name: string): boolean {
    return this.byName.has(name);
  }

  /** The combined value: the lines in order, joined by a comma and a space. */
  get(name: string): string | undefined {
    const held = this.byName.get(name);
    return held === undefined || typeof held === 'string' ? held : held.join(', ');
  }

  /** Every line of a field, each trimmed. */
  lines(name: string): readonly string[] {
    const held = this.byName.get(name);
    return held === undefined ? [] : typeof held === 'string' ? [held] : held;
  }

  names(): IterableIterator<string> {
    return this.byName.keys();
  }

  *entries(): IterableIterator<[string, string]> {
    for (const name of this.byName.keys()) yield [name, this.get(name) as string];
  }
}

const isSpace = (code: number) => code === 0x20 || code === 0x09;

/** A field line as RFC 9421 section 2.1 takes it: without the spaces and tabs around it. */
export function trim(value: string): string {
  // No regular expression: one anchored at the end takes quadratic time over a long run of spaces.
  let start = 0;
  let end = value.length;
  while (start < end && isSpace(value.charCodeAt(start))) start++;
  while (end > start && isSpace(value.charCodeAt(end - 1))) end--;
  return value.slice(start, end);
}

/** The form in which names are compared for trust: many servers read `_` as `-` (CGI does). */
export function comparableName(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}
