/** Serial numbers as operators type them, and as certificates bear them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { serialOf } from '../../src/consumers/denied-certificates.ts';

describe('a serial number', () => {
  it.each([
    ['3fa4', '3FA4'],
    ['3F:A4:00', '3FA400'],
    ['A', '0A'],
    ['00A1', 'A1'],
    ['00:0a:1b', '0A1B'],
  ])('that is typed as %s is %s', (typed, serial) => expect(serialOf(typed)).toBe(serial));

  it.each([
    '',
    '0',
    '00:00',
    'xyz',
    '3F A4',
    '3FA4 ',
    '-3F',
    '0x3F',
    '3:FA',
    '3FA4:',
    ':3F',
    '3F\n',
    'A'.repeat(65),
  ])('is not %j', (typed) => expect(serialOf(typed)).toBeUndefined());

  it('has one spelling, whatever its letters, zeros and colons', () => {
    const bytes = fc
      .uint8Array({ minLength: 1, maxLength: 20 })
      .filter((array) => array.some((byte) => byte !== 0));
    fc.assert(
      fc.property(bytes, (serial) => {
        const hex = Buffer.from(serial).toString('hex');
        const spellings = [
          hex,
          hex.toUpperCase(),
          `00${hex}`,
          hex.replace(/^0+/, ''),
          hex.replace(/..(?=.)/g, '$&:'),
        ];
        const read = spellings.map(serialOf);
        expect(new Set(read).size).toBe(1);
        expect(BigInt(`0x${read[0]}`)).toBe(BigInt(`0x${hex}`));
        expect(serialOf(read[0] as string)).toBe(read[0]);
      }),
    );
  });
});
