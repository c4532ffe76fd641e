/** RFC 9651: our parser against the `structured-headers` package. It may be stricter, and never more lenient. */
import fc from 'fast-check';
import * as theirs from 'structured-headers';
import { describe, expect, it } from 'vitest';
import { type CountersignError, component, componentValue, Fields } from '../../src/signatures/index.ts';
import {
  type BareItem,
  type InnerList,
  type Item,
  isInnerList,
  type Member,
  type Parameters,
  parseDictionary,
  parseItem,
  parseList,
  serializeItem,
  serializeMember,
} from '../../src/signatures/structured-fields.ts';
import { get, refusalOf } from './requests.ts';
import { grammar, type Kind, mutated, random } from './structured-text.ts';

const RUNS = { numRuns: 2000 };

/** One shape for the values of both parsers. Theirs tells no decimal from an integer. */
type Plain = string | number | boolean | null | readonly Plain[];

const plainBare = ({ type, value }: BareItem): Plain =>
  typeof value === 'number'
    ? ['number', value + 0]
    : [type, typeof value === 'object' ? value.toString('base64') : value];
const plainParameters = (parameters: Parameters): Plain =>
  [...parameters].map(([key, value]) => [key, plainBare(value)]);
const plain = (value: Item | InnerList): Plain =>
  isInnerList(value)
    ? [value.items.map(plain), plainParameters(value.parameters)]
    : [plainBare(value.bare), plainParameters(value.parameters)];

function theirBare(value: theirs.BareItem): Plain {
  if (typeof value === 'number') return ['number', value + 0];
  if (typeof value === 'string') return ['string', value];
  if (typeof value === 'boolean') return ['boolean', value];
  if (value instanceof theirs.Token) return ['token', value.toString()];
  if (value instanceof ArrayBuffer) return ['binary', Buffer.from(value).toString('base64')];
  throw new Error('A date or a display string, which ours never accepts.');
}
const theirParameters = (parameters: theirs.Parameters): Plain =>
  [...parameters].map(([key, value]) => [key, theirBare(value)]);
const theirPlain = (value: theirs.Item | theirs.InnerList): Plain =>
  theirs.isInnerList(value)
    ? [value[0].map(theirPlain), theirParameters(value[1])]
    : [theirBare(value[0]), theirParameters(value[1])];

/** The three entry points of each side, from text to one plain value. */
const kinds: Readonly<Record<Kind, Record<'ours' | 'theirs', (text: string) => Plain>>> = {
  item: {
    ours: (text: string) => plain(parseItem(text)),
    theirs: (text: string) => theirPlain(theirs.parseItem(text)),
  },
  list: {
    ours: (text: string) => parseList(text).map(({ value }) => plain(value)),
    theirs: (text: string) => theirs.parseList(text).map(theirPlain),
  },
  dictionary: {
    ours: (text: string) => [...parseDictionary(text)].map(([key, { value }]) => [key, plain(value)]),
    theirs: (text: string) =>
      [...theirs.parseDictionary(text)].map(([key, value]) => [key, theirPlain(value)]),
  },
};
const kindNames = Object.keys(kinds) as Kind[];

/** What ours made of the text, or undefined where it refused it in its one way. */
function accepted(kind: Kind, text: string): { value: Plain } | undefined {
  try {
    return { value: kinds[kind].ours(text) };
  } catch (error) {
    expect((error as CountersignError).code).toBe('signature-malformed');
    return undefined;
  }
}

describe.each(kindNames)('parsing: %s', (kind) => {
  it('accepts whatever the grammar allows, and reads the same value as structured-headers', () => {
    fc.assert(
      fc.property(grammar[kind], (text) => {
        expect(kinds[kind].ours(text)).toEqual(kinds[kind].theirs(text));
      }),
      RUNS,
    );
  });

  it.each([
    ['damaged', mutated(kind)],
    ['random', random],
  ])('accepts of %s text nothing that structured-headers refuses or reads otherwise', (_, texts) => {
    fc.assert(
      fc.property(texts, (text) => {
        const result = accepted(kind, text);
        if (result) expect(result.value).toEqual(kinds[kind].theirs(text));
      }),
      RUNS,
    );
  });
});

describe('serialising', () => {
  /** The whole field in canonical form, as `;sf` covers it. */
  const strict = (name: string, value: string) => {
    const message = { ...get(), fields: Fields.fromEntries([[name, value]]) };
    return componentValue(component(`"${name}";sf`), message);
  };

  it('writes an item as structured-headers does', () => {
    fc.assert(
      fc.property(grammar.item, (text) => {
        expect(serializeItem(parseItem(text))).toBe(theirs.serializeItem(theirs.parseItem(text)));
        expect(strict('client-cert', text)).toBe(theirs.serializeItem(theirs.parseItem(text)));
      }),
      RUNS,
    );
  });

  it('writes a list as structured-headers does', () => {
    fc.assert(
      fc.property(grammar.list, (text) => {
        expect(strict('cache-status', text)).toBe(theirs.serializeList(theirs.parseList(text)));
      }),
      RUNS,
    );
  });

  it('writes a dictionary as structured-headers does', () => {
    fc.assert(
      fc.property(grammar.dictionary, (text) => {
        expect(strict('priority', text)).toBe(theirs.serializeDictionary(theirs.parseDictionary(text)));
      }),
      RUNS,
    );
  });

  it('writes canonical text that reads back as itself', () => {
    fc.assert(
      fc.property(grammar.list, (text) => {
        const written = parseList(text).map(({ value }) => serializeMember(value));
        expect(parseList(written.join(', ')).map(({ value }) => serializeMember(value))).toEqual(written);
        expect(parseList(written.join(', ')).map(({ source }) => source)).toEqual(written);
      }),
      RUNS,
    );
  });

  it.each([
    ['1.0', '1.0'],
    ['-0', '0'],
    ['-0.0', '0.0'],
    ['1.500', '1.5'],
    ['1.050', '1.05'],
    ['007', '7'],
    ['999999999999999', '999999999999999'],
    ['-999999999999.999', '-999999999999.999'],
    ['a;b=?1', 'a;b'],
    [':AB==:', ':AA==:'],
  ])('writes %s as %s', (text, canonical) => {
    expect(serializeItem(parseItem(text))).toBe(canonical);
  });
});

describe('the exact text of a member', () => {
  const sources = (members: Iterable<Member>) => [...members].map(({ source }) => source);

  it('is kept without the spaces around it', () => {
    expect(sources(parseList(' 1 ,\t"a";x  ,(a  b) '))).toEqual(['1', '"a";x', '(a  b)']);
    expect(sources(parseDictionary('a=1, b=( "x" );y,c;z').values())).toEqual(['1', '( "x" );y', ';z']);
  });
});

/** Where ours is stricter than the RFC's algorithm, or holds its bounds. */
describe('refusals', () => {
  const refused: readonly [what: string, kind: Kind, text: string][] = [
    ['a repeated dictionary key', 'dictionary', 'a=1, b=2, a=1'],
    ['a repeated dictionary key without a value', 'dictionary', 'a, a'],
    ['a repeated parameter', 'item', 'x;a=1;a=1'],
    ['a repeated parameter in an inner list', 'list', '(x;a;a)'],
    ['a repeated parameter of an inner list', 'list', '(x);a;a'],
    ['a date', 'item', '@1659578233'],
    ['a display string', 'item', '%"f%c3%bc"'],
    ['base64 without its padding', 'item', ':YQ:'],
    ['base64 with too much padding', 'item', ':YQ===:'],
    ['base64 with padding in the middle', 'item', ':YQ==YQ==:'],
    ['base64url', 'item', ':__-_:'],
    ['base64 with a space', 'item', ':YWJj YWJj:'],
    ['a byte sequence without an end', 'item', ':YQ=='],
    ['an integer of 16 digits', 'item', '1000000000000000'],
    ['a decimal of 13 whole digits', 'item', '1000000000000.1'],
    ['a decimal of four places', 'item', '1.0001'],
    ['a decimal without places', 'item', '1.'],
    ['a decimal without a whole', 'item', '.5'],
    ['two signs', 'item', '--1'],
    ['a plus sign', 'item', '+1'],
    ['a lone sign', 'item', '-'],
    ['a boolean of two digits', 'item', '?10'],
    ['a boolean in words', 'item', '?true'],
    ['a string without an end', 'item', '"a'],
    ['a string that ends in a backslash', 'item', '"a\\'],
    ['an escape of another character', 'item', '"\\n"'],
    ['a line break in a string', 'item', '"a\nb"'],
    ['a byte beyond ASCII in a string', 'item', '"\u00e9"'],
    ['nothing where an item belongs', 'item', ''],
    ['two items', 'item', 'a b'],
    ['a tab before an item', 'item', '\ta'],
    ['a key in upper case', 'dictionary', 'A=1'],
    ['a key that begins with a digit', 'dictionary', '1a=1'],
    ['a space before "="', 'dictionary', 'a =1'],
    ['a space after "="', 'dictionary', 'a= 1'],
    ['a comma at the end', 'dictionary', 'a=1,'],
    ['a comma at the start', 'list', ',a'],
    ['two commas', 'list', 'a,,b'],
    ['no comma', 'list', 'a b'],
    ['an inner list without an end', 'list', '(a b'],
    ['an inner list within another', 'list', '((a))'],
    ['a comma in an inner list', 'list', '(a, b)'],
    ['a tab in an inner list', 'list', '(a\tb)'],
    ['items of an inner list without a space between', 'list', '("a""b")'],
    ['a space before ";"', 'item', 'a ;b'],
    ['a tab after ";"', 'item', 'a;\tb'],
    ['65 members', 'list', Array(65).fill('a').join(',')],
    ['65 keys', 'dictionary', Array.from({ length: 65 }, (_, i) => `k${i}`).join(',')],
    ['65 items in an inner list', 'list', `(${Array(65).fill('a').join(' ')})`],
    ['65 parameters', 'item', `a${Array.from({ length: 65 }, (_, i) => `;k${i}`).join('')}`],
  ];

  it.each(refused)('refuses %s', (_, kind, text) => {
    expect(refusalOf(() => kinds[kind].ours(text)).code).toBe('signature-malformed');
  });

  it('accepts 64 of each', () => {
    const names = Array.from({ length: 64 }, (_, i) => `k${i}`);
    expect(parseList(names.join(','))).toHaveLength(64);
    expect(parseDictionary(names.join(',')).size).toBe(64);
    expect(parseList(`(${names.join(' ')})`)).toHaveLength(1);
    expect(parseItem(`a;${names.join(';')}`).parameters.size).toBe(64);
  });
});
