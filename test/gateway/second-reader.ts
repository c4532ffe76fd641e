/**
 * A second reader of HTTP/1.1 requests, small and strict, that shares nothing with Node's parser and ours: what the
 * gateway accepts must read to it as what was signed.
 * @module
 */
/** All text is of one character a byte. Names of fields are in lower case; values stand in order, trimmed. */
export interface Reading {
  readonly method: string;
  readonly target: string;
  readonly fields: ReadonlyMap<string, readonly string[]>;
  readonly body: string;
}

/** More than one space may stand where one belongs (RFC 9112 section 3). */
const LINE = /^([A-Z]+) +([\x21-\x7e]+) +HTTP\/1\.[01]$/;
const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e]*?)[ \t]*$/;

/** @returns what the bytes say; `unreadable`, or `incomplete` where more would have to follow. */
export function read(bytes: Buffer): Reading | 'unreadable' | 'incomplete' {
  // Line ends before the first line are passed over (RFC 9112 section 2.2), by Node also half ones.
  const text = bytes.toString('latin1').replace(/^[\r\n]+/, '');
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return 'incomplete';
  const [first = '', ...lines] = text.slice(0, end).split('\r\n');
  const [, method, target] = LINE.exec(first) ?? [];
  if (method === undefined || target === undefined) return 'unreadable';
  const fields = new Map<string, string[]>();
  for (const line of lines) {
    const [, name, value] = FIELD.exec(line) ?? [];
    if (name === undefined || value === undefined) return 'unreadable';
    fields.set(name.toLowerCase(), [...(fields.get(name.toLowerCase()) ?? []), value]);
  }
  const body = readBody(fields, text.slice(end + 4));
  if (body === 'unreadable' || body === 'incomplete') return body;
  return { method, target, fields, body: body.text };
}

function readBody(
  fields: ReadonlyMap<string, readonly string[]>,
  rest: string,
): { text: string } | 'unreadable' | 'incomplete' {
  const [coding, anotherCoding] = fields.get('transfer-encoding') ?? [];
  const [length, anotherLength] = fields.get('content-length') ?? [];
  if (anotherCoding !== undefined || anotherLength !== undefined) return 'unreadable';
  if (coding !== undefined) {
    return coding.toLowerCase() === 'chunked' && length === undefined ? readChunks(rest) : 'unreadable';
  }
  if (length === undefined) return { text: '' };
  if (!/^\d+$/.test(length)) return 'unreadable';
  return rest.length < Number(length) ? 'incomplete' : { text: rest.slice(0, Number(length)) };
}

function readChunks(rest: string): { text: string } | 'unreadable' | 'incomplete' {
  let text = '';
  for (let at = 0; ; ) {
    const end = rest.indexOf('\r\n', at);
    if (end === -1) return 'incomplete';
    const size = /^([0-9A-Fa-f]+)[ \t]*(;[\t\x20-\x7e]*)?$/.exec(rest.slice(at, end))?.[1];
    if (size === undefined) return 'unreadable';
    at = end + 2;
    const length = Number.parseInt(size, 16);
    if (length === 0) return /^([^\r\n]+\r\n)*\r\n/.test(rest.slice(at)) ? { text } : 'incomplete';
    if (rest.length < at + length + 2) return 'incomplete';
    text += rest.slice(at, at + length);
    if (rest.slice(at + length, at + length + 2) !== '\r\n') return 'unreadable';
    at += length + 2;
  }
}

/** What of a request its signature stands for. The Host is part of the covered target. */
export function whatIsSigned(reading: Reading, signatureInput: string): string {
  const names = [...signatureInput.matchAll(/"([a-z][a-z-]*)"/g)].map(([, name = '']) => name);
  const values = names.map((name) => [name, reading.fields.get(name)?.join(', ')]);
  const host = reading.fields.get('host')?.join(', ').toLowerCase();
  return JSON.stringify([reading.method, reading.target, host, values, reading.body]);
}
