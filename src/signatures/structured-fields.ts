/**
 * Structured fields (RFC 9651): as much as HTTP Message Signatures need, strict and bounded. Dates and display
 * strings are refused. Never more lenient than the RFC's algorithm, which a property test holds.
 * @module
 */
import { CountersignError } from '../errors.ts';

export type BareItem =
  | { readonly type: 'integer'; readonly value: number }
  | { readonly type: 'decimal'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'token'; readonly value: string }
  | { readonly type: 'binary'; readonly value: Buffer }
  | { readonly type: 'boolean'; readonly value: boolean };

export type Parameters = ReadonlyMap<string, BareItem>;

export interface Item {
  readonly bare: BareItem;
  readonly parameters: Parameters;
}

export interface InnerList {
  readonly items: readonly Item[];
  readonly parameters: Parameters;
}

/** A member of a list or dictionary, with the exact text that it was read from. */
export interface Member {
  readonly value: Item | InnerList;
  readonly source: string;
}

/** More members, parameters or items than any field of ours could need are refused. */
const MOST = 64;

const NO_PARAMETERS: Parameters = new Map();
const TRUE: BareItem = { type: 'boolean', value: true };
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

export function isInnerList(value: Item | InnerList): value is InnerList {
  return 'items' in value;
}

/** RFC 9651 section 4.2.2. A repeated key is refused: the RFC lets the last one win, which hides the first. */
export function parseDictionary(text: string): Map<string, Member> {
  const reader = new Reader(text);
  const members = new Map<string, Member>();
  reader.members(() => {
    const key = reader.key();
    if (members.has(key)) throw malformed(`"${key}" stands twice in one dictionary; send it once`);
    const start = reader.at;
    if (reader.take('=')) {
      const value = reader.itemOrInnerList();
      members.set(key, { value, source: text.slice(start + 1, reader.at) });
    } else {
      const value = { bare: TRUE, parameters: reader.parameters() };
      members.set(key, { value, source: text.slice(start, reader.at) });
    }
  });
  return members;
}

/** RFC 9651 section 4.2.1. */
export function parseList(text: string): Member[] {
  const reader = new Reader(text);
  const members: Member[] = [];
  reader.members(() => {
    const start = reader.at;
    const value = reader.itemOrInnerList();
    members.push({ value, source: text.slice(start, reader.at) });
  });
  return members;
}

/** RFC 9651 section 4.2.3. */
export function parseItem(text: string): Item {
  const reader = new Reader(text);
  reader.skipSpaces();
  const item = reader.item();
  reader.skipSpaces();
  reader.end();
  return item;
}

class Reader {
  at = 0;
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  take(character: string): boolean {
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  skipSpaces(): void {
    while (this.text[this.at] === ' ') this.at++;
  }

  private skipOws(): void {
    while (this.text[this.at] === ' ' || this.text[this.at] === '\t') this.at++;
  }

  end(): void {
    if (this.at !== this.text.length) throw this.unexpected();
  }

  unexpected(): CountersignError {
    const found = this.text[this.at];
    return malformed(
      found === undefined ? 'it ends too early' : `unexpected ${JSON.stringify(found)} at offset ${this.at}`,
    );
  }

  /** The shared frame of lists and dictionaries: members between commas, none trailing, none at all allowed. */
  members(read: () => void): void {
    this.skipSpaces();
    if (this.at === this.text.length) return;
    for (let count = 1; ; count++) {
      if (count > MOST) throw malformed(`more than ${MOST} members`);
      read();
      this.skipOws();
      if (this.at === this.text.length) return;
      if (!this.take(',')) throw this.unexpected();
      this.skipOws();
      if (this.at === this.text.length) throw malformed('a comma at the end');
    }
  }

  itemOrInnerList(): Item | InnerList {
    return this.text[this.at] === '(' ? this.innerList() : this.item();
  }

  item(): Item {
    const bare = this.bareItem();
    return { bare, parameters: this.parameters() };
  }

  innerList(): InnerList {
    if (!this.take('(')) throw this.unexpected();
    const items: Item[] = [];
    for (;;) {
      this.skipSpaces();
      if (this.take(')')) return { items, parameters: this.parameters() };
      if (items.length === MOST) throw malformed(`more than ${MOST} items in one list`);
      items.push(this.item());
      const next = this.text[this.at];
      if (next !== ' ' && next !== ')') throw this.unexpected();
    }
  }

  parameters(): Parameters {
    if (this.text[this.at] !== ';') return NO_PARAMETERS;
    const parameters = new Map<string, BareItem>();
    while (this.take(';')) {
      this.skipSpaces();
      const key = this.key();
      if (parameters.has(key)) throw malformed(`the parameter "${key}" stands twice; send it once`);
      if (parameters.size === MOST) throw malformed(`more than ${MOST} parameters`);
      parameters.set(key, this.take('=') ? this.bareItem() : TRUE);
    }
    return parameters;
  }

  key(): string {
    const start = this.at;
    if (!isKeyStart(this.text.charCodeAt(this.at))) throw this.unexpected();
    do this.at++;
    while (isKeyCharacter(this.text.charCodeAt(this.at)));
    return this.text.slice(start, this.at);
  }

  private bareItem(): BareItem {
    const code = this.text.charCodeAt(this.at);
    if (code === 0x22) return { type: 'string', value: this.string() };
    if (code === 0x2d || isDigit(code)) return this.number();
    if (code === 0x3a) return { type: 'binary', value: this.binary() };
    if (code === 0x3f) return this.boolean();
    if (code === 0x2a || isAlpha(code)) return { type: 'token', value: this.token() };
    throw this.unexpected();
  }

  private string(): string {
    const start = ++this.at;
    let value = '';
    let plain = start;
    for (; this.at < this.text.length; this.at++) {
      const code = this.text.charCodeAt(this.at);
      if (code === 0x22) {
        value += this.text.slice(plain, this.at++);
        return value;
      }
      if (code === 0x5c) {
        value += this.text.slice(plain, this.at++);
        const escaped = this.text.charCodeAt(this.at);
        if (escaped !== 0x22 && escaped !== 0x5c) throw this.unexpected();
        plain = this.at;
      } else if (code < 0x20 || code > 0x7e) throw this.unexpected();
    }
    throw this.unexpected();
  }

  private number(): BareItem {
    const start = this.at;
    this.take('-');
    const first = this.at;
    while (isDigit(this.text.charCodeAt(this.at))) this.at++;
    const whole = this.at - first;
    if (whole === 0) throw this.unexpected();
    if (this.text[this.at] !== '.') {
      if (whole > 15) throw malformed('an integer of more than 15 digits');
      return { type: 'integer', value: Number(this.text.slice(start, this.at)) };
    }
    const point = this.at++;
    while (isDigit(this.text.charCodeAt(this.at))) this.at++;
    const fraction = this.at - point - 1;
    if (fraction === 0 || fraction > 3 || whole > 12) throw malformed('a decimal out of bounds');
    return { type: 'decimal', value: Number(this.text.slice(start, this.at)) };
  }

  private binary(): Buffer {
    const end = this.text.indexOf(':', ++this.at);
    if (end === -1) throw malformed('a byte sequence without its closing colon');
    const encoded = this.text.slice(this.at, end);
    if (!BASE64.test(encoded) || encoded.length % 4 !== 0)
      throw malformed('a byte sequence that is not base64');
    this.at = end + 1;
    return Buffer.from(encoded, 'base64');
  }

  private boolean(): BareItem {
    this.at++;
    if (this.take('1')) return TRUE;
    if (this.take('0')) return { type: 'boolean', value: false };
    throw this.unexpected();
  }

  private token(): string {
    const start = this.at;
    do this.at++;
    while (isTokenCharacter(this.text.charCodeAt(this.at)));
    return this.text.slice(start, this.at);
  }
}

/** RFC 9651 section 4.1: the one canonical text of a member. */
export function serializeMember(value: Item | InnerList): string {
  if (!isInnerList(value)) return serializeItem(value);
  return `(${value.items.map(serializeItem).join(' ')})${serializeParameters(value.parameters)}`;
}

export function serializeItem(item: Item): string {
  return serializeBareItem(item.bare) + serializeParameters(item.parameters);
}

function serializeParameters(parameters: Parameters): string {
  let text = '';
  for (const [key, value] of parameters) {
    text += value === TRUE || value.value === true ? `;${key}` : `;${key}=${serializeBareItem(value)}`;
  }
  return text;
}

function serializeBareItem(item: BareItem): string {
  switch (item.type) {
    case 'integer':
      return String(item.value === 0 ? 0 : item.value);
    case 'decimal':
      return serializeDecimal(item.value);
    case 'string':
      return serializeString(item.value);
    case 'token':
      return item.value;
    case 'binary':
      return `:${item.value.toString('base64')}:`;
    case 'boolean':
      return item.value ? '?1' : '?0';
  }
}

/** The text of a string item. The caller has made sure that it is printable ASCII. */
export function serializeString(value: string): string {
  return /["\\]/.test(value) ? `"${value.replace(/["\\]/g, '\\$&')}"` : `"${value}"`;
}

function serializeDecimal(value: number): string {
  const text = value.toFixed(3).replace(/0{1,2}$/, '');
  return text.startsWith('-') && Number(text) === 0 ? text.slice(1) : text;
}

function malformed(detail: string): CountersignError {
  return new CountersignError('signature-malformed', `A structured field does not parse: ${detail}.`);
}

const isDigit = (code: number) => code >= 0x30 && code <= 0x39;
const isLower = (code: number) => code >= 0x61 && code <= 0x7a;
const isAlpha = (code: number) => isLower(code) || (code >= 0x41 && code <= 0x5a);
const isKeyStart = (code: number) => isLower(code) || code === 0x2a;

function isKeyCharacter(code: number): boolean {
  // a-z 0-9 _ - . *
  return isLower(code) || isDigit(code) || code === 0x5f || (code >= 0x2d && code <= 0x2e) || code === 0x2a;
}

/** tchar (RFC 9110 section 5.6.2), ":" and "/". */
function isTokenCharacter(code: number): boolean {
  if (isAlpha(code) || isDigit(code)) return true;
  return (
    code === 0x21 ||
    (code >= 0x23 && code <= 0x27) ||
    (code >= 0x2a && code <= 0x2b) ||
    (code >= 0x2d && code <= 0x2f) ||
    code === 0x3a ||
    (code >= 0x5e && code <= 0x60) ||
    code === 0x7c ||
    code === 0x7e
  );
}
