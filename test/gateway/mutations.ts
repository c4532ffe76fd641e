/**
 * Seeded mutations of signed requests, as bytes.
 * @module
 */

import { contentDigest } from '../../src/signatures/index.ts';
import type { TestGateway } from '../../src/testing.ts';
import { exchange, inParallel, judge } from './hostile-wire.ts';
import { bytesOf, type Draft, type RawRequest, sign } from './wire.ts';

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Chance {
  private readonly random: () => number;

  constructor(seed: number) {
    this.random = randomFrom(seed);
  }

  /** A whole number below. */
  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}

const DRAFTS: readonly Draft[] = [
  {},
  { body: '{"amount":100,"to":"a"}', headers: [['Accept', 'text/html']] },
  {
    target: '/v1/echo?a=1&b=%20c',
    cover: ['@method', '@scheme', '@authority', '@path', '@query', 'content-digest', 'content-type'],
  },
  {
    headers: [
      ['Countersign-Narrow', 'demo'],
      ['Range', 'bytes=0-1'],
    ],
  },
  {
    headers: [
      ['X-Many', 'one'],
      ['X-Many', 'two'],
    ],
    cover: ['x-many', 'content-type', '@target-uri', 'content-digest', '@method'],
  },
  { method: 'GET', target: '/v1/whoami' },
  {
    method: 'GET',
    target: '/v1/whoami?x',
    headers: [
      ['If-Match', '"1"'],
      ['Content-Digest', contentDigest('')],
    ],
  },
];

/** One of several good requests. */
function makeRequest(chance: Chance, gateway: TestGateway): RawRequest {
  const request = sign(gateway, gateway.credentials, chance.pick(DRAFTS));
  if (request.body === '' || chance.below(3) > 0) return request;
  const at = chance.below(request.body.length - 1) + 1;
  const chunks = [request.body.slice(0, at), request.body.slice(at), ''];
  return {
    ...request,
    headers: request.headers.map(([name, value]) =>
      name === 'Content-Length' ? ['Transfer-Encoding', 'chunked'] : [name, value],
    ),
    body: chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join(''),
  };
}

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

type Mutation = (text: string, chance: Chance, other: string) => string;

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

const MUTATIONS: Readonly<Record<string, Mutation>> = {
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

/** In pieces, so that what is read comes in more than one turn. */
function inPieces(bytes: Buffer, chance: Chance): Buffer[] {
  if (chance.below(3) > 0) return [bytes];
  const at = chance.below(bytes.length);
  return [bytes.subarray(0, at), bytes.subarray(at)];
}

export interface MutationCounts {
  served: number;
  refused: number;
  closed: number;
}

/**
 * Sends so many mutated requests and judges each; throws with the seed of the one that went wrong.
 * @param from the seed of the first; each next one has the next number.
 */
export async function sendMutated(
  gateway: TestGateway,
  from: number,
  count: number,
): Promise<MutationCounts> {
  const ends = { served: 0, refused: 0, closed: 0 };
  const seeds = Array.from({ length: count }, (_, i) => from + i);
  await inParallel(seeds, async (seed) => {
    const chance = new Chance(seed);
    const [request, other] = [makeRequest(chance, gateway), makeRequest(chance, gateway)];
    let text = bytesOf(request).toString('latin1');
    const names: string[] = [];
    for (let i = chance.below(3); i >= 0; i--) {
      const name = chance.pick(Object.keys(MUTATIONS));
      names.push(name);
      text = (MUTATIONS[name] as Mutation)(text, chance, bytesOf(other).toString('latin1')) || ' ';
    }
    const bytes = Buffer.from(text, 'latin1');
    try {
      const answer = await exchange(gateway.port, inPieces(bytes, chance));
      ends[judge(answer, bytes, [request, other], gateway)]++;
    } catch (error) {
      const what = `seed ${seed} (${names.join(', ')}): ${(error as Error).message}`;
      throw new Error(`${what}\n${JSON.stringify(text)}`, { cause: error });
    }
  });
  return ends;
}
