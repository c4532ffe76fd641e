/**
 * What can be done to a signed request on its way, as text of one character a byte.
 * @module
 */
import type { Chance } from './chance.ts';

/** Lines that mean something to somebody. */
const HOSTILE_LINES = [
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: identity',
  'Content-Length: 0',
  'Content-Length: 5',
  'Content-Length: 17',
  'Host: evil.example',
  'Host:',
  'Expect: 100-continue',
  'Connection: close',
  'Connection: close, content-type, signature',
  'Connection: upgrade',
  'Upgrade: h2c',
  'Content-Type: text/plain',
  'Content_Type: text/plain',
  'Content-Digest: sha-256=:AAAA:',
  'Content-Encoding: gzip',
  'Signature-Input: cs=("@method")',
  'Signature-Input: x=()',
  'Signature: cs=:AAAA:',
  'Signature: x=:AAAA:',
  'Countersign-Narrow: nobody',
  'Countersign-Consumer: admin',
  'Idempotency-Key: "1"',
  'Authorization: Bearer x',
  'Cookie: a=b',
  'Forwarded: for=127.0.0.1',
  'X-Forwarded-Proto: https',
  'X-HTTP-Method-Override: DELETE',
  'X-Original-URL: /admin',
  'Trailer: Content-Type',
  'TE: trailers',
  'Max-Forwards: 0',
  'X: y',
  'X:',
  ' folded',
  ': nameless',
  'no colon',
  'X\t: y',
  'X: \x7f',
  'X: \xff',
  '',
];
const HOSTILE_STARTS = [
  'GET /v1/whoami HTTP/1.1',
  'POST /v1/echo HTTP/1.0',
  'POST /v1/echo HTTP/1.2',
  'POST  /v1/echo HTTP/1.1',
  'POST /v1/echo  HTTP/1.1',
  'POST /v1/../v1/echo HTTP/1.1',
  'POST //v1/echo HTTP/1.1',
  'POST /v1/echo# HTTP/1.1',
  'POST http://127.0.0.1/v1/echo HTTP/1.1',
  'HEAD /v1/whoami HTTP/1.1',
  'PUT /v1/echo HTTP/1.1',
  'POST /v1/%65cho HTTP/1.1',
  '\r\nPOST /v1/echo HTTP/1.1',
];
const BYTES = [
  '\0',
  '\r',
  '\n',
  '\r\n',
  '\r\n\r\n',
  ' ',
  '\t',
  ':',
  ';',
  ',',
  '"',
  '%',
  '/',
  '?',
  '\x7f',
  '\xe9',
  '0',
];

/** @param other another good request, to splice with. */
export type Mutation = (text: string, chance: Chance, other: string) => string;

const splice = (text: string, from: number, to: number, put: string) =>
  text.slice(0, from) + put + text.slice(to);

/** Changes the header section line by line. */
const onLines =
  (change: (lines: string[], chance: Chance) => void): Mutation =>
  (text, chance) => {
    const end = text.indexOf('\r\n\r\n');
    if (end === -1) return text;
    const lines = text.slice(0, end).split('\r\n');
    change(lines, chance);
    return lines.join('\r\n') + text.slice(end);
  };
/** An index of a field's line. */
const someField = (lines: readonly string[], chance: Chance) =>
  1 + chance.below(Math.max(1, lines.length - 1));
const onField = (change: (line: string, chance: Chance) => string) =>
  onLines((lines, chance) => {
    const at = someField(lines, chance);
    lines[at] = change(lines[at] ?? '', chance);
  });

export const mutations: Readonly<Record<string, Mutation>> = {
  'flip a bit': (text, chance) => {
    const at = chance.below(text.length);
    return splice(text, at, at + 1, String.fromCharCode(text.charCodeAt(at) ^ (1 << chance.below(8))));
  },
  'replace a byte': (text, chance) => {
    const at = chance.below(text.length);
    return splice(text, at, at + 1, String.fromCharCode(chance.below(256)));
  },
  'insert bytes': (text, chance) => {
    const at = chance.below(text.length);
    return splice(text, at, at, chance.pick(BYTES));
  },
  'delete a range': (text, chance) => {
    const at = chance.below(text.length);
    return splice(text, at, at + 1 + chance.below(chance.pick([2, 10, 100])), '');
  },
  'repeat a range': (text, chance) => {
    const at = chance.below(text.length);
    return splice(text, at, at, text.slice(at, at + 1 + chance.below(60)));
  },
  'cut short': (text, chance) => text.slice(0, chance.below(text.length)),
  'add to the end': (text, chance) => text + chance.pick(BYTES) + chance.pick(HOSTILE_STARTS),
  'go on as another message': (text, chance, other) =>
    text.slice(0, chance.below(text.length)) + other.slice(chance.below(other.length)),
  'repeat a line': onLines((lines, chance) => {
    const at = someField(lines, chance);
    lines.splice(someField(lines, chance), 0, lines[at] ?? '');
  }),
  'drop a line': onLines((lines, chance) => void lines.splice(someField(lines, chance), 1)),
  'swap lines': onLines((lines, chance) => {
    const [one, other] = [someField(lines, chance), someField(lines, chance)];
    [lines[one], lines[other]] = [lines[other] ?? '', lines[one] ?? ''];
  }),
  'put a hostile line': onLines(
    (lines, chance) => void lines.splice(someField(lines, chance), 0, chance.pick(HOSTILE_LINES)),
  ),
  'begin in a hostile way': onLines((lines, chance) => {
    lines[0] = chance.pick(HOSTILE_STARTS);
  }),
  'change the case of a name': onField((line, chance) =>
    line.replace(/^[^:]*/, (name) => (chance.below(2) ? name.toUpperCase() : name.toLowerCase())),
  ),
  'change the case of a value': onField((line) => line.replace(/:.*/, (value) => value.toUpperCase())),
  'put space around a value': onField((line, chance) =>
    line.replace(/: *(.*)/, `:${chance.pick(['', ' ', '\t', '   '])}$1${chance.pick(['', ' ', '\t \t'])}`),
  ),
  'put space within a value': onField((line, chance) => {
    const at = line.indexOf(':') + 1 + chance.below(20);
    return splice(line, at, at, chance.pick([' ', '\t', '  ']));
  }),
  'spell a name in another way': onField((line) =>
    line.replace(/^[^:]*/, (name) => name.replaceAll('-', '_')),
  ),
  'break a line in two': onField((line, chance) => {
    const at = line.indexOf(':') + 1 + chance.below(20);
    return splice(line, at, at, chance.pick(['\r\n', '\r\n ', '\r', '\n', '\r\nX: ']));
  }),
  'split a list into lines': onField((line) => line.replace(/^([^:]*): (.*?), (.*)/, '$1: $2\r\n$1: $3')),
  'change nothing': (text) => text,
};
