/** The file of a cassette: what is written is read back as it was, and anything else is refused with its line. */
import { writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CASSETTE_HEADER,
  formatExchange,
  parseCassette,
  type RawExchange,
} from '../../src/testing/cassette.ts';
import { readCassette } from '../../src/testing.ts';
import { temporaryFolder } from './temporary-folder.ts';

const path = temporaryFolder();

const characters = (from: number, to: number) =>
  fc.integer({ min: from, max: to }).map((code) => String.fromCharCode(code));
const token = fc
  .stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,20}$/)
  .filter((name) => !/^host$/i.test(name));
const value = fc.string({
  unit: fc.oneof(characters(0x20, 0x7e), characters(0x80, 0xff), fc.constant('\t')),
});
const headerLines = fc.array(fc.tuple(token, value), { maxLength: 8 });
const body = fc.oneof(
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
  fc.json().map((text) => Buffer.from(text)),
);
const origin = fc.constantFrom('http://127.0.0.1:8080', 'https://api.example.com', 'http://[::1]:1');

const exchange: fc.Arbitrary<RawExchange> = fc
  .record({
    at: fc.integer({ min: 0, max: 4_000_000_000 }),
    origin,
    method: token,
    target: fc.string({ unit: characters(0x21, 0x7e), minLength: 1 }),
    before: headerLines,
    after: headerLines,
    sent: body,
    status: fc.integer({ min: 100, max: 599 }),
    answered: headerLines,
    received: body,
  })
  .map(({ at, origin, method, target, before, after, sent, status, answered, received }) => ({
    at,
    origin,
    request: {
      method,
      target,
      lines: [...before, ['Host', new URL(origin).host] as const, ...after],
      body: sent,
    },
    response: { status, lines: answered, body: received },
  }));

describe('a cassette', () => {
  it('is read back as it was written, whatever was exchanged', () => {
    fc.assert(
      fc.property(fc.array(exchange, { maxLength: 4 }), (written) => {
        const file = path('round-trip.jsonl');
        writeFileSync(file, CASSETTE_HEADER + written.map(formatExchange).join(''));
        const { exchanges, origins } = readCassette(file);
        expect(exchanges).toMatchObject(written);
        expect(exchanges).toHaveLength(written.length);
        expect(new Set(origins)).toEqual(new Set(written.map(({ origin }) => origin)));
        expect(CASSETTE_HEADER + exchanges.map(formatExchange).join('')).toBe(
          CASSETTE_HEADER + written.map(formatExchange).join(''),
        );
      }),
      { numRuns: 300 },
    );
  });

  it('shows text as text, and other bytes as base64', () => {
    const written = formatExchange({
      ...plain,
      request: { ...plain.request, body: Buffer.from('{"tea":"☕"}') },
      response: { ...plain.response, body: Buffer.from([0xff, 0]) },
    });
    expect(JSON.parse(written)).toMatchObject({
      request: { body: '{"tea":"☕"}' },
      response: { body: { base64: '/wA=' } },
    });
  });

  it('holds one exchange a line, whatever stands in a body', () => {
    const text = formatExchange({
      ...plain,
      request: { ...plain.request, body: Buffer.from('a\nb\r\n\u2028c') },
    });
    expect(text.split('\n')).toHaveLength(2);
    expect(parseCassette(CASSETTE_HEADER + text, 'f')[0]?.request.body.toString()).toBe('a\nb\r\n\u2028c');
  });

  it('may lack the last line break, as some editors leave it', () => {
    const text = CASSETTE_HEADER + formatExchange(plain).trimEnd();
    expect(parseCassette(text, 'f')).toHaveLength(1);
  });

  it('names the refusal that an answer was', () => {
    const lines = [['Countersign-Refusal', 'nonce-replayed']] as const;
    const [read] = parseCassette(
      CASSETTE_HEADER + formatExchange({ ...plain, response: { ...plain.response, lines } }),
      'f',
    );
    expect(read?.response.refusal).toBe('nonce-replayed');
  });
});

const plain: RawExchange = {
  at: 1_790_000_000,
  origin: 'http://127.0.0.1:8080',
  request: { method: 'GET', target: '/a', lines: [['host', '127.0.0.1:8080']], body: Buffer.alloc(0) },
  response: { status: 200, lines: [['etag', '"a"']], body: Buffer.from('x') },
};

type Line = Record<'at' | 'origin', unknown> & Record<'request' | 'response', Record<string, unknown>>;

/** A good line with one thing changed. */
function changed(change: (line: Line) => void): string {
  const line = JSON.parse(formatExchange(plain)) as Line;
  change(line);
  return JSON.stringify(line);
}

const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;

describe('a cassette is refused that', () => {
  it.each<[what: string, line: string, why: RegExp]>([
    ['was cut off', formatExchange(plain).slice(0, -20), /not JSON; was the end cut off/],
    ['has an empty line', '', /not JSON/],
    ['is nested beyond reason', deep, /an exchange must be an object/],
    ['holds something else', '"exchange"', /an exchange must be an object with the members at, origin/],
    ['holds null', 'null', /an exchange must be an object/],
    ['holds a list', '[1,2,3,4]', /an exchange must be an object/],
    ['lacks a member', '{"at":1,"origin":"http://a","request":{}}', /members at, origin, request, response/],
    ['has a member too many', changed((line) => Object.assign(line, { secret: 'x' })), /and no others/],
    ['has a time as text', changed((line) => (line.at = '1790000000')), /"at" must be whole seconds/],
    ['has a time in fractions', changed((line) => (line.at = 1.5)), /"at" must be whole seconds/],
    ['has a time before 1970', changed((line) => (line.at = -1)), /"at" must be whole seconds/],
    ['has a time in milliseconds', changed((line) => (line.at = 1e15)), /"at" must be whole seconds/],
    ['has no origin', changed((line) => (line.origin = 7)), /"origin" must be an origin/],
    ['has a path after its origin', changed((line) => (line.origin += '/')), /"origin" must be an origin/],
    ['has another scheme', changed((line) => (line.origin = 'ftp://127.0.0.1:8080')), /"origin" must be/],
    ['has a host in capitals', changed((line) => (line.origin = 'http://LOCALHOST')), /"origin" must be/],
    ['was sent to another host', changed((line) => (line.origin = 'http://127.0.0.1:81')), /must stand once/],
    ['names no host', changed(({ request }) => (request.headers = [])), /must stand once/],
    [
      'names two hosts',
      changed(({ request }) => (request.headers as unknown[]).push(['Host', '127.0.0.1:8080'])),
      /must stand once/,
    ],
    [
      'has no request',
      changed((line) => Object.assign(line, { request: [] })),
      /"request" must be an object/,
    ],
    ['has a method with a space', changed(({ request }) => (request.method = 'GET /')), /must be a method/],
    ['has an empty method', changed(({ request }) => (request.method = '')), /must be a method/],
    [
      'has a target with a line break',
      changed(({ request }) => (request.target = '/\r\n')),
      /"request.target"/,
    ],
    ['has a target above ASCII', changed(({ request }) => (request.target = '/é')), /"request.target"/],
    ['has an empty target', changed(({ request }) => (request.target = '')), /"request.target"/],
    ['has fields as an object', changed(({ request }) => (request.headers = { a: 'b' })), /must be a list/],
    [
      'has fields without end',
      changed(({ response }) => (response.headers = Array(2001).fill(['a', 'b']))),
      /2000 at most/,
    ],
    ['has half a field', changed(({ response }) => (response.headers = [['a']])), /pairs of name and value/],
    ['has a field of three', changed(({ response }) => (response.headers = [['a', 'b', 'c']])), /pairs/],
    ['has a field of text', changed(({ response }) => (response.headers = ['ab'])), /pairs/],
    [
      'has a field name with a colon',
      changed(({ response }) => (response.headers = [['a:', 'b']])),
      /field name/,
    ],
    [
      'has a field value over lines',
      changed(({ response }) => (response.headers = [['a', 'b\r\nc: d']])),
      /sent/,
    ],
    [
      'has a field value above Latin-1',
      changed(({ response }) => (response.headers = [['a', '☕']])),
      /sent/,
    ],
    ['has a number as a field value', changed(({ response }) => (response.headers = [['a', 1]])), /sent/],
    ['has a status as text', changed(({ response }) => (response.status = '200')), /"response.status"/],
    ['has a status that is none', changed(({ response }) => (response.status = 600)), /"response.status"/],
    ['has no body', changed(({ request }) => (request.body = null)), /"request.body" is neither text/],
    ['has half a character', changed(({ request }) => (request.body = '\ud800')), /half a character/],
    [
      'has base64 without padding',
      changed(({ request }) => (request.body = { base64: 'YQ' })),
      /padded base64/,
    ],
    [
      'has something else than base64',
      changed(({ request }) => (request.body = { base64: '*' })),
      /padded base64/,
    ],
    ['has base64 and more', changed(({ request }) => (request.body = { base64: '', b: 1 })), /neither text/],
  ])('%s', (_what, line, why) => {
    const file = path('malformed.jsonl');
    writeFileSync(file, `${CASSETTE_HEADER}${formatExchange(plain)}${line}\n`);
    expect(() => readCassette(file)).toThrow(
      expect.objectContaining({
        code: 'cassette-invalid',
        message: expect.stringMatching(new RegExp(`^${file}, line 3: .*${why.source}`)),
      }),
    );
  });

  it.each<[what: string, content: string | Buffer, why: RegExp]>([
    ['is empty', '', /must begin with/],
    ['is of a later version', '{"cassette":"countersign","version":2}\n', /not a cassette of this version/],
    ['has Windows line breaks', CASSETTE_HEADER.replace('\n', '\r\n'), /must begin with/],
    ['is not UTF-8', Buffer.concat([Buffer.from(CASSETTE_HEADER), Buffer.from([0xff])]), /is not UTF-8/],
  ])('%s', (_what, content, why) => {
    const file = path('malformed.jsonl');
    writeFileSync(file, content);
    expect(() => readCassette(file)).toThrow(
      expect.objectContaining({ code: 'cassette-invalid', message: expect.stringMatching(why) }),
    );
  });

  it.each([
    ['is not there', () => path('nowhere.jsonl'), /can't be read: ENOENT/],
    ['is a folder', () => path('.'), /can't be read: EISDIR/],
  ])('%s', (_what, file, why) => {
    expect(() => readCassette(file())).toThrow(
      expect.objectContaining({ code: 'cassette-invalid', message: expect.stringMatching(why) }),
    );
  });
});
