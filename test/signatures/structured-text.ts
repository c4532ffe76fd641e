/**
 * Text of structured fields (RFC 9651) for property tests: of the grammar, nearly of it, and random.
 * @module
 */
import fc from 'fast-check';

export type Kind = 'item' | 'list' | 'dictionary';

/** Text of the grammar, drawn loosely: with the spaces, leading zeros and `=?1` that the grammar allows. */
const from = (characters: string) => fc.constantFrom(...characters);
const some = (characters: string, minLength = 0) =>
  fc.string({ unit: from(characters), minLength, maxLength: 6 });
const lower = 'abcxyz';
const key = fc.tuple(from(`${lower}*`), some(`${lower}09_-.*`)).map(([first, rest]) => first + rest);
const digits = (most: number) => fc.string({ unit: from('0019'), minLength: 1, maxLength: most });
const sign = fc.constantFrom('', '', '-');
const integer = fc.tuple(sign, digits(15)).map(([minus, whole]) => minus + whole);
/** Never a whole number: theirs writes 1.0 as 1, against RFC 9651 section 4.1.5. */
const decimal = fc
  .tuple(
    sign,
    digits(12),
    some('0019').map((each) => each.slice(0, 2)),
    from('123456789'),
  )
  .map(([minus, whole, fraction, last]) => `${minus}${whole}.${fraction}${last}`);
const printable = Array.from({ length: 95 }, (_, i) => String.fromCharCode(0x20 + i)).join('');
const string = fc
  .string({ unit: from(printable), maxLength: 8 })
  .map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`);
const token = fc.tuple(from('abXY*'), some("abXY09:/!#$%&'*+-.^_`|~")).map(([first, rest]) => first + rest);
const binary = fc.uint8Array({ maxLength: 9 }).map((bytes) => `:${Buffer.from(bytes).toString('base64')}:`);
const boolean = fc.constantFrom('?0', '?1');
const bareItem = fc.oneof(integer, decimal, string, token, binary, boolean);
const space = fc.constantFrom('', '', ' ', '  ');
const anySpace = fc.constantFrom('', ' ', '\t', ' \t ');

const parameters = fc
  .uniqueArray(fc.record({ name: key, value: fc.option(bareItem), gap: space }), {
    maxLength: 3,
    selector: ({ name }) => name,
  })
  .map((each) =>
    each.map(({ name, value, gap }) => `;${gap}${name}${value === null ? '' : `=${value}`}`).join(''),
  );
const item = fc.tuple(bareItem, parameters).map(([bare, rest]) => bare + rest);
const innerList = fc
  .tuple(space, fc.array(item, { maxLength: 4 }), fc.constantFrom(' ', '  '), space, parameters)
  .map(([before, items, between, after, rest]) => `(${before}${items.join(between)}${after})${rest}`);
const member = fc.oneof(item, innerList);
const separator = fc.tuple(anySpace, anySpace).map(([before, after]) => `${before},${after}`);
const joined = (members: fc.Arbitrary<string[]>) =>
  fc
    .tuple(space, members, separator, space)
    .map(([before, each, between, after]) => before + each.join(between) + after);
export const grammar: Readonly<Record<Kind, fc.Arbitrary<string>>> = {
  item: fc.tuple(space, item, space).map((parts) => parts.join('')),
  list: joined(fc.array(member, { maxLength: 5 })),
  dictionary: joined(
    fc
      .uniqueArray(
        fc.tuple(
          key,
          fc.oneof(
            member.map((each) => `=${each}`),
            parameters,
          ),
        ),
        {
          maxLength: 5,
          selector: ([name]) => name,
        },
      )
      .map((members) => members.map((parts) => parts.join(''))),
  ),
};

/** Text that is nearly right: a few edits, most of them with characters that mean something. */
const telling = '()=;:,"\\?*@%-.09aA \t/+_~';
const edit = fc.record({
  at: fc.nat(),
  length: fc.nat({ max: 3 }),
  text: fc.oneof(
    some(telling),
    fc.string({ unit: from(printable), maxLength: 2 }),
    from('\n\u007f\u00e9\u0000'),
  ),
});
export const mutated = (kind: Kind) =>
  fc.tuple(grammar[kind], fc.array(edit, { minLength: 1, maxLength: 3 })).map(([text, edits]) =>
    edits.reduce((held, { at, length, text: inserted }) => {
      const start = at % (held.length + 1);
      return held.slice(0, start) + inserted + held.slice(start + length);
    }, text),
  );
export const random = fc.oneof(
  fc.string({ unit: from(telling), maxLength: 24 }),
  fc.string({ maxLength: 24 }),
);
