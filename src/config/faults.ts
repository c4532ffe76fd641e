/**
 * The faults of a configuration, gathered so that one start tells them all.
 * @module
 */
import { CountersignError } from '../errors.ts';

/** Where a fault stands in the configuration file; both count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface Fault {
  /** A setting such as `routes[0].role`, or an environment variable. */
  readonly path: string;
  /** What to do. Never a secret's value. */
  readonly detail: string;
  readonly line?: number;
  readonly column?: number;
}

/** A file with more faults isn't a configuration, and its reader wouldn't thank us for the rest. */
const MOST_TOLD = 200;

export class Faults {
  private readonly found: Fault[] = [];
  /** The configuration file's name, as the operator wrote it. */
  file = '';

  /** @param position given for a fault in the file, left out for one in the environment. */
  add(path: string, detail: string, position?: Position): void {
    this.found.push({ path, detail, ...position });
  }

  /** Whether a fault concerns one of these settings or variables, or something inside them. */
  concern(...settings: readonly string[]): boolean {
    return this.found.some(({ path }) => settings.includes(path.replace(/[.[].*$/, '')));
  }

  /** Throws `config-invalid` if there is any fault: one a line, the environment's first, then down the file. */
  raise(): void {
    if (this.found.length === 0) return;
    const errors = this.found
      .toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0))
      .slice(0, MOST_TOLD);
    const sentences = errors.map((fault) => this.sentence(fault));
    const rest = this.found.length - errors.length;
    if (rest > 0) sentences.push(`and ${rest} more`);
    throw new CountersignError('config-invalid', sentences.join('\n'), { members: { errors } });
  }

  private sentence({ path, detail, line, column }: Fault): string {
    const place = line === undefined ? '' : `${this.file}:${line}:${column} `;
    return path === '' ? `${place}${detail}` : `${place}${path}: ${detail}`;
  }
}

/** `["routes", 0, "role"]` as `routes[0].role`. */
export function settingName(path: readonly PropertyKey[]): string {
  return path.reduce<string>((name, key) => {
    if (typeof key === 'number') return `${name}[${key}]`;
    return name === '' ? String(key) : `${name}.${String(key)}`;
  }, '');
}

/** The known name that a mistyped one (`prot`, `time_out`, `timeoutMs`) most likely stands for, if any comes close. */
export function closest(mistyped: string, known: readonly string[]): string | undefined {
  const wanted = plain(mistyped);
  let best: string | undefined;
  let least = 3;
  for (const name of known) {
    const candidate = plain(name);
    const isLonger = wanted.startsWith(candidate) && /^[a-z]*$/.test(wanted.slice(candidate.length));
    const edits = isLonger ? 1 : distance(wanted, candidate);
    if (edits < least) [best, least] = [name, edits];
  }
  return best;
}

const plain = (name: string) => name.toLowerCase().replace(/[_-]/g, '');

/** Edits (Levenshtein) that turn one word into the other; 3 stands for 3 or more. */
function distance(a: string, b: string): number {
  // Two edits turn a word of three letters into almost any other.
  if (a.length < 4 || Math.abs(a.length - b.length) > 2) return 3;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] as number) + Number(a[i - 1] !== b[j - 1]);
      next.push(Math.min(change, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
