/** `ID.json`: what is exactly one document is read, everything else is refused, and nothing breaks the reader. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CountersignError } from '../../src/errors.ts';
import { parseRequestDocument, type RequestDocument } from '../../src/issuer/request-document.ts';

const good: RequestDocument = {
  requester: 'gateway',
  use: 'server',
  csrSha256: 'a'.repeat(64),
  issuer: '0'.repeat(64),
  created: 1_800_000_000,
  expires: 1_800_003_600,
  sequence: 1,
};

const parse = (text: string | Buffer) => parseRequestDocument(Buffer.from(text));

/** What a reader may do with bytes from outside: read them, or refuse them for what they are. */
function readOrRefusal(bytes: Buffer): RequestDocument | undefined {
  try {
    return parseRequestDocument(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(CountersignError);
    expect(error).toMatchObject({ code: 'certificate-request-refused' });
    return undefined;
  }
}

const hex = fc.array(fc.constantFrom(...'0123456789abcdef'), { minLength: 64, maxLength: 64 });
const number = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const documents = fc.record({
  requester: fc.stringMatching(/^[a-z0-9]{1,20}$/),
  use: fc.constantFrom('server', 'client', 'both'),
  csrSha256: hex.map((digits) => digits.join('')),
  issuer: hex.map((digits) => digits.join('')),
  created: number,
  expires: number,
  sequence: number,
});

describe('a document', () => {
  it('is read as it was written, with spaces or without', () => {
    fc.assert(
      fc.property(documents, fc.constantFrom(0, 2, '\t'), (document, space) => {
        expect(parse(JSON.stringify(document, null, space))).toEqual(document);
      }),
    );
  });

  it('is refused or read for what it says, whatever bytes stand in it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(readOrRefusal(Buffer.from(bytes))).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });

  it('is refused or read for what it says, whatever JSON it is', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(readOrRefusal(Buffer.from(text))).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });

  it('never means anything else after a byte of it has changed than what its text says', () => {
    const text = Buffer.from(JSON.stringify(good));
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
        const changed = Buffer.from(text);
        changed[at] = byte;
        const read = readOrRefusal(changed);
        if (read) expect(read).toEqual(JSON.parse(changed.toString('utf8')));
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['is empty', ''],
    ['is cut off', JSON.stringify(good).slice(0, -1)],
    ['is null', 'null'],
    ['is in a list', JSON.stringify([good])],
    ['begins with a byte order mark', `\ufeff${JSON.stringify(good)}`],
    ['has something after it', `${JSON.stringify(good)}{}`],
    ['lacks a member', JSON.stringify({ ...good, sequence: undefined })],
    ['has one more', JSON.stringify({ ...good, admin: true })],
    ['has one more of no account', `${JSON.stringify(good).slice(0, -1)},"__proto__":{}}`],
    ['has a member twice', JSON.stringify(good).replace('{', '{"sequence":2,')],
    ['has it twice, once in disguise', JSON.stringify(good).replace('{', '{"s\\u0065quence":2,')],
    ['has a number as text', JSON.stringify({ ...good, sequence: '1' })],
    ['has a negative number', JSON.stringify({ ...good, sequence: -1 })],
    ['has a number beyond the exact ones', JSON.stringify(good).replace('"sequence":1', '"sequence":1e300')],
    ['has upper-case hex', JSON.stringify({ ...good, issuer: 'A'.repeat(64) })],
    ['has a digest with a line end', JSON.stringify({ ...good, issuer: `${'a'.repeat(64)}\n` })],
    ['names a folder above', JSON.stringify({ ...good, requester: '..' })],
    ['names nobody', JSON.stringify({ ...good, requester: '' })],
    ['has a NUL in a name', JSON.stringify({ ...good, requester: 'gate\0way' })],
    ['has a letter that only looks like one', JSON.stringify({ ...good, requester: 'gatew\u0430y' })],
  ])('is refused where it %s', (_what, text) => {
    expect(readOrRefusal(Buffer.from(text))).toBeUndefined();
  });

  it('is refused where it is not UTF-8', () => {
    const bytes = Buffer.from(JSON.stringify(good));
    bytes[bytes.indexOf('gateway')] = 0xff;
    expect(() => parse(bytes)).toThrow(/UTF-8/);
  });
});
