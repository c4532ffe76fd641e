/** Request files: what is read, to the byte, and what is refused with a sentence. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readGivenAnswer } from '../../src/client/explain/gateway-answer.ts';
import { messageOf, type RecordedRequest } from '../../src/client/explain/recorded-request.ts';
import { readRawRequest, readRequestFile } from '../../src/client/explain/request-file.ts';
import { CountersignError } from '../../src/errors.ts';

const read = (text: string | Buffer, entry?: number) => readRequestFile(Buffer.from(text), entry);
const har = (request: object, rest: object = {}) =>
  JSON.stringify({
    request: { method: 'GET', url: 'https://api.example/', headers: [], ...request },
    ...rest,
  });

/** The message as it goes over the wire. */
function bytesOf({ method, target, lines, body }: RecordedRequest, end: string): Buffer {
  const head = [`${method} ${target} HTTP/1.1`, ...lines.map(([name, value]) => `${name}: ${value}`), '', ''];
  return Buffer.concat([Buffer.from(head.join(end), 'latin1'), body]);
}

const characters = (allowed: string) =>
  fc.string({ unit: fc.constantFrom(...allowed), minLength: 1, maxLength: 12 });
const PRINTABLE = String.fromCharCode(...Array.from({ length: 94 }, (_, i) => i + 0x21));
const token = characters("!#$%&'*+-.^_`|~09azAZ");
const value = fc.string({ unit: fc.constantFrom(...PRINTABLE, ' ', '\t', '\x80', 'ÿ'), maxLength: 30 });
/** These two say where the body ends. */
const isFraming = (name: string) => /^(?:content-length|transfer-encoding)$/i.test(name);
const request = fc.record({
  method: token.filter((method) => method !== 'CONNECT'),
  target: characters(PRINTABLE).map((text) => `/${text}`),
  lines: fc.array(
    fc.tuple(
      token.filter((name) => !isFraming(name)),
      value,
    ),
    { maxLength: 8 },
  ),
  body: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
});

describe('a raw request', () => {
  it('is read as it was written, with CRLF or LF, whatever its body', () => {
    fc.assert(
      fc.property(request, fc.constantFrom('\r\n', '\n'), fc.boolean(), (wanted, end, hasLength) => {
        const length: [string, string] = ['Content-Length', String(wanted.body.length)];
        const lines = hasLength ? [...wanted.lines, length] : wanted.lines;
        const recorded = { ...wanted, lines, origin: undefined, answer: undefined, notes: [] };
        expect(readRawRequest(bytesOf(recorded, end))).toEqual(recorded);
      }),
    );
  });

  it('throws nothing but CountersignError, whatever the bytes', () => {
    const noise = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
    const damaged = fc
      .tuple(request, fc.nat(), fc.nat(255), fc.constantFrom('\r\n', '\n', '\r'))
      .map(([wanted, at, byte, end]) => {
        const bytes = bytesOf({ ...wanted, origin: undefined, answer: undefined, notes: [] }, end);
        bytes[at % bytes.length] = byte;
        return bytes;
      });
    const json = fc.oneof(
      fc.json(),
      fc.json().map((text) => `{"request":${text}}`),
      fc.json().map((text) => `{"log":{"entries":[${text},${text}]}}`),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          noise,
          damaged,
          json.map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          for (const reading of [() => messageOf(readRequestFile(bytes)), () => readGivenAnswer(bytes)]) {
            try {
              reading();
            } catch (error) {
              expect(error).toBeInstanceOf(CountersignError);
              expect((error as CountersignError).code).toBe('request-invalid');
            }
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it.each([
    ['a line break that an editor added', 'POST /a HTTP/1.1\nContent-Length: 2\n\nhi\n', 'hi', 1],
    ['no empty line at the end', 'GET /a HTTP/1.1\nHost: a', '', 0],
    ['an empty line before', '\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n', '', 0],
    ['a byte order mark', '\ufeffGET /a HTTP/1.1\nHost: a\n\n', '', 0],
    [
      'chunks',
      'POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n3\r\n yo\r\n0\r\n\r\n',
      'hi yo',
      0,
    ],
    ['chunks that were joined', 'POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nhi yo', 'hi yo', 1],
    ['chunks that were cut', 'POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi', '5\r\nhi', 1],
  ])('with %s is read', (_, text, body, notes) => {
    const recorded = read(text);
    expect([recorded.target, recorded.body.toString(), recorded.notes.length]).toEqual(['/a', body, notes]);
  });

  it.each([
    ['nothing', '', /empty/],
    ['no request line', 'hello', /first line/],
    ['an answer', 'HTTP/1.1 200 OK\n\n', /first line/],
    ['no version', 'GET /a\nHost: a\n\n', /first line/],
    ['a tunnel', 'CONNECT a:443 HTTP/1.1\n\n', /not a method/],
    ['a folded line', 'GET /a HTTP/1.1\nX-A: b\n c\n\n', /line 3 begins with a space/],
    ['no colon', 'GET /a HTTP/1.1\nHost a\n\n', /line 2 is not a header field/],
    ['a space before the colon', 'GET /a HTTP/1.1\nHost : a\n\n', /line 2 is not a header field/],
    ['a control character', 'GET /a HTTP/1.1\nX-A: \x00\n\n', /line 2 holds a control character/],
    ['less than its length', 'POST /a HTTP/1.1\nContent-Length: 5\n\nhi', /2 bytes follow/],
    ['more than its length', 'POST /a HTTP/1.1\nContent-Length: 1\n\nhi', /2 bytes follow/],
    ['a length that is none', 'POST /a HTTP/1.1\nContent-Length: two\n\nhi', /2 bytes follow/],
    ['too many lines', `GET /a HTTP/1.1\n${'X-A: b\n'.repeat(300)}\n`, /more than 256/],
    ['an endless head', `GET /a HTTP/1.1\nX-A: ${'b'.repeat(70_000)}`, /longer than 65536/],
    ['a byte above ASCII in its target', 'GET /ä HTTP/1.1\n\n', /target/],
  ])('with %s is refused', (_, text, reason) => {
    expect(() => read(text)).toThrow(reason);
  });

  it('in the form for a proxy says where it goes, and nothing of its target is rewritten', () => {
    const recorded = read('GET HTTP://API.example:8080/a/%2e%2e/b?c HTTP/1.1\nHost: x\n\n');
    expect([recorded.target, recorded.origin]).toEqual([
      '/a/%2e%2e/b?c',
      { scheme: 'http', authority: 'API.example:8080' },
    ]);
  });

  it('has no entries to choose from', () => {
    expect(() => read('GET /a HTTP/1.1\nHost: a\n\n', 1)).toThrow(/--entry/);
  });
});

describe('the message of a raw request', () => {
  const message = (host: string, hints = {}) => messageOf(read(`GET /a HTTP/1.1\nHost: ${host}\n\n`), hints);

  it('is http on this machine, and https elsewhere, unless a URL with its host says otherwise', () => {
    expect(message('127.0.0.1:8080').scheme).toBe('http');
    expect(message('api.example').scheme).toBe('https');
    expect(message('api.example', { gateway: new URL('http://api.example') }).scheme).toBe('http');
    expect(message('api.example', { gateway: new URL('http://other.example') }).scheme).toBe('https');
    expect(message('localhost:8443', { url: new URL('https://localhost:8443') }).scheme).toBe('https');
  });

  it('has its host in small letters, without the port of its scheme', () => {
    expect(message('API.example:443').authority).toBe('api.example');
    expect(message('API.example:80').authority).toBe('api.example:80');
  });

  it('needs a host', () => {
    expect(() => messageOf(read('GET /a HTTP/1.1\n\n'))).toThrow(/no Host/);
    expect(() => message('a/b')).toThrow(/not a host/);
  });
});

describe('a HAR', () => {
  it('gives the target raw, without its fragment, and Host where HTTP/2 had none', () => {
    const headers = [
      { name: ':authority', value: 'api.example' },
      { name: ':path', value: '/' },
      { name: 'x-tag', value: 'a\nb' },
    ];
    const recorded = read(har({ url: 'https://user:pw@api.example/a%7Eb?c=d#e', headers }));
    expect([recorded.target, recorded.origin]).toEqual([
      '/a%7Eb?c=d',
      { scheme: 'https', authority: 'api.example' },
    ]);
    expect(recorded.lines).toEqual([
      ['Host', 'api.example'],
      ['x-tag', 'a'],
      ['x-tag', 'b'],
    ]);
  });

  it.each([
    ['text', { text: 'tä' }, Buffer.from('tä'), 0],
    ['base64', { text: '/wA=', encoding: 'base64' }, Buffer.from([0xff, 0]), 0],
    ['parameters', { params: [{ name: 'a b', value: 'c&d' }] }, Buffer.from('a+b=c%26d'), 1],
  ])('gives its body from %s', (_, postData, body, notes) => {
    const recorded = read(har({ postData }));
    expect([recorded.body, recorded.notes.length]).toEqual([body, notes]);
  });

  it('says where the body may not be what was sent', () => {
    expect(read(har({ postData: { text: 'abc' }, bodySize: 4 })).notes.join()).toContain('4 bytes');
  });

  it.each([
    ['no JSON', '{', /not JSON/],
    ['no URL', har({ url: '/a' }), /whole http/],
    ['no headers', har({ headers: null }), /"headers"/],
    ['a field that is none', har({ headers: [{ name: 'a b', value: '' }] }), /not a field name/],
    ['a value that is none', har({ headers: [{ name: 'a', value: '\u{1f375}' }] }), /no header field can/],
    ['no entries', '{"log":{"entries":[]}}', /no number 1/],
    [
      'names of its own',
      '{"log":{"entries":[{"request":{"url":{"toString":1},"headers":[{"name":{"toString":1}}]}},{}]}}',
      /choose one/,
    ],
  ])('with %s is refused', (_, text, reason) => {
    expect(() => read(text)).toThrow(reason);
  });
});
