/** Strict JSON: the values are those of JSON.parse, of texts that can be read in one way only. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MOST_DEPTH, readJsonText, readStrictJson } from '../../src/gateway/json-body.ts';

const strict = (text: string) => readStrictJson(Buffer.from(text));

/** What JSON.parse makes of it, or undefined where it refuses it. No JSON stands for undefined. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A second reader: depth and names, by a walk over the values that a reviver is shown. */
function holdsNameTwice(text: string): boolean {
  let members = 0;
  JSON.parse(text, (_key, value) => {
    members++;
    return value;
  });
  // Each string in quotes that a colon follows is a name, in text without strings that hold quotes or colons.
  return (text.match(/"[^"\\]*"\s*:/g) ?? []).length > members - 1 - elements(JSON.parse(text));
}

function elements(value: unknown): number {
  if (Array.isArray(value))
    return value.length + value.reduce((sum: number, each) => sum + elements(each), 0);
  if (typeof value !== 'object' || value === null) return 0;
  return Object.values(value).reduce((sum: number, each) => sum + elements(each), 0);
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

describe('strict JSON', () => {
  it('is read as JSON.parse reads it', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 8 }), fc.constantFrom(0, 1, 2), (text, indent) => {
        const value = JSON.parse(text);
        expect(strict(JSON.stringify(value, null, indent))).toEqual(value);
      }),
    );
  });

  it('is refused exactly where JSON.parse refuses it, nests too deep, or repeats a name', () => {
    const token = fc.constantFrom('{', '}', '[', ']', ',', ':', '"a"', '"b"', '1', 'null', ' ', '"', '\\');
    const pieces = fc.array(token, { maxLength: 24 }).map((tokens) => tokens.join(''));
    const objects = fc
      .array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.constantFrom('1', '[]', '{"a":{"b":2}}')), {
        maxLength: 5,
      })
      .map((members) => `{${members.map(([name, value]) => `"${name}" : ${value}`).join(',')}}`);
    let refused = 0;
    let read = 0;
    fc.assert(
      fc.property(fc.oneof(pieces, objects), (text) => {
        const value = parsed(text);
        const isGood = value !== undefined && depthOf(value) <= MOST_DEPTH && !holdsNameTwice(text);
        if (isGood) {
          read++;
          expect(strict(text)).toEqual(value);
        } else {
          refused++;
          expect(() => strict(text)).toThrow(expect.objectContaining({ code: 'json-malformed' }));
        }
      }),
      { numRuns: 3000 },
    );
    expect(refused).toBeGreaterThan(100);
    expect(read).toBeGreaterThan(100);
  });

  it.each([
    ['{"a":1,"a":1}'],
    ['{"a":1,"b":{"a":2},"a":3}'],
    ['[{"x":{}},{"x":{},"y":[],"x":1}]'],
    ['{"a":1,"\\u0061":2}'],
    ['{"\\"":1,"\\u0022":2}'],
    ['{"":1,"":2}'],
    ['{"a" \t\r\n:1,"a":2}'],
    ['{"__proto__":1,"__proto__":2}'],
    ['{"\\ud83d\\ude00":1,"😀":2}'],
  ])('holds no name twice: %s', (text) => {
    expect(parsed(text)).toBeDefined();
    expect(() => strict(text)).toThrow(/twice/);
    expect(readJsonText(Buffer.from(text))).toBe(text);
  });

  it.each([
    ['{"a":{"a":{"a":1}}}'],
    ['[{"a":1},{"a":2}]'],
    ['{"a":"a","b":"a\\":"}'],
    ['{"a":"\\\\","b":1}'],
    ['["a","a"]'],
    ['{"a":["a","a"]}'],
    ['{"a":"}{][,:\\"a\\":1"}'],
    ['"a"'],
    [' 1 '],
    ['{"constructor":1,"toString":2,"hasOwnProperty":3}'],
    ['{"a":"\u2028\u2029"}'],
  ])('may hold it in several objects, and in text: %s', (text) => {
    expect(strict(text)).toEqual(JSON.parse(text));
  });

  it('has __proto__ as a name like any other', () => {
    const value = strict('{"__proto__":{"polluted":true}}') as object;
    expect(Object.keys(value)).toEqual(['__proto__']);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('nests 32 deep, and no deeper', () => {
    const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
    expect(strict(nested(32))).toEqual(JSON.parse(nested(32)));
    expect(() => strict(nested(33))).toThrow(/deeper than 32/);
    expect(() => strict(`${'{"a":'.repeat(33)}1${'}'.repeat(33)}`)).toThrow(/deeper than 32/);
    expect(() => strict(nested(200_000))).toThrow(/deeper than 32/);
    expect(strict(`[${'[],'.repeat(1000)}[]]`)).toHaveLength(1001);
    expect(strict(`["${'['.repeat(100)}"]`)).toEqual(['['.repeat(100)]);
  });

  it.each([
    ['a byte that is no UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['an overlong form', Buffer.from([0x22, 0xc0, 0xaf, 0x22])],
    ['a surrogate in UTF-8', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
    ['a character that was cut', Buffer.from([0x22, 0xe2, 0x82, 0x22])],
    ['UTF-16', Buffer.from('"a"', 'utf16le')],
    ['nothing', Buffer.alloc(0)],
  ])('is refused for %s', (_what, body) => {
    for (const read of [readStrictJson, readJsonText]) {
      expect(() => read(body)).toThrow(expect.objectContaining({ code: 'json-malformed' }));
    }
  });

  it('of a mebibyte is read in a moment, whatever it holds', () => {
    const size = 1_000_000;
    expect(strict(`"${'\\\\'.repeat(size / 2)}"`)).toHaveLength(size / 2);
    expect(strict(`"${'a'.repeat(size)}"`)).toHaveLength(size);
    const names = Array.from({ length: 50_000 }, (_, i) => `"n${i}":0`).join(',');
    expect(Object.keys(strict(`{${names}}`) as object)).toHaveLength(50_000);
  });
});

describe('JSON that is only passed back', () => {
  it('may repeat names and nest as it likes, and stays as it was written', () => {
    for (const text of ['{"a":1,"a":2}', '['.repeat(100) + ']'.repeat(100), ' {"n" : 1e400 }']) {
      expect(readJsonText(Buffer.from(text))).toBe(text);
    }
  });
});
