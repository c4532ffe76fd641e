/** What may be asked of a new key, and every fault of what may not. */
import { describe, expect, it } from 'vitest';
import type { ConsumerKey } from '../../src/consumers/consumer.ts';
import { checkKeyDraft, checkOverlap, datesOf, type KeyDraft } from '../../src/consumers/key-draft.ts';

const NOW = 1_800_000_000;
const DAY = 86_400;

const pathsOf = (draft: KeyDraft) => checkKeyDraft(draft, NOW).map(({ path }) => path);

describe('a draft', () => {
  it.each<[string, KeyDraft]>([
    ['nothing', {}],
    [
      'every limit',
      { label: 'Lager, Süd', notBefore: NOW + DAY, notAfter: NOW + 2 * DAY, roleSubset: ['a:b'] },
    ],
    ['the longest life', { notAfter: NOW + 400 * DAY }],
    ['the longest life, later', { notBefore: NOW + 10, notAfter: NOW + 10 + 400 * DAY }],
    ['the shortest life', { notAfter: NOW + 1 }],
    ['a beginning that the way here made a little late', { notBefore: NOW - 60 }],
    ['no roles at all', { roleSubset: [] }],
    ['addresses', { allow: ['10.0.0.0/8', '::1'] }],
    ['a certificate', { certificateUri: 'spiffe://example.com/shop' }],
  ])('may ask for %s', (_what, draft) => expect(pathsOf(draft)).toEqual([]));

  it.each<[string, KeyDraft, string]>([
    ['an end in the past', { notAfter: NOW - 1 }, 'notAfter'],
    ['an end now', { notAfter: NOW }, 'notAfter'],
    ['an end before its beginning', { notBefore: NOW + 10, notAfter: NOW + 10 }, 'notAfter'],
    ['more than 400 days', { notAfter: NOW + 400 * DAY + 1 }, 'notAfter'],
    ['an end that is no number', { notAfter: Number.NaN }, 'notAfter'],
    ['an end in half a second', { notAfter: NOW + 0.5 }, 'notAfter'],
    ['an end in milliseconds', { notAfter: NOW * 1000 }, 'notAfter'],
    ['a beginning in the past', { notBefore: NOW - 61 }, 'notBefore'],
    ['a beginning beyond every key', { notBefore: NOW + 400 * DAY + 1 }, 'notBefore'],
    ['an infinite beginning', { notBefore: Number.POSITIVE_INFINITY }, 'notBefore'],
    ['an empty label', { label: '' }, 'label'],
    ['a label of two lines', { label: 'a\nb' }, 'label'],
    ['a label that would write into a terminal', { label: 'a\u001b[2J' }, 'label'],
    ['a label that turns the line around', { label: 'a\u202eb' }, 'label'],
    ['a label of 101 characters', { label: 'x'.repeat(101) }, 'label'],
    ['a label in spaces', { label: ' a' }, 'label'],
    ['a role that is none', { roleSubset: ['a', 'A'] }, 'roleSubset[1]'],
    ['whoever is authenticated', { roleSubset: ['any'] }, 'roleSubset[0]'],
    ['65 roles', { roleSubset: Array(65).fill('a') }, 'roleSubset'],
    ['no address at all', { allow: [] }, 'allow'],
    ['a CIDR that is none', { allow: ['::1', '10.0.0.0/33'] }, 'allow[1]'],
    ['65 addresses', { allow: Array(65).fill('::1') }, 'allow'],
    ['a certificate name that is none', { certificateUri: 'https://example.com/shop' }, 'certificateUri'],
  ])('may not ask for %s', (_what, draft, path) => expect(pathsOf(draft)).toEqual([path]));

  it('is refused with every fault at once', () => {
    const draft = { label: '', notBefore: 1, notAfter: 2, roleSubset: ['A', 'B'], allow: ['x', 'y'] };
    expect(pathsOf(draft).sort()).toEqual([
      'allow[0]',
      'allow[1]',
      'label',
      'notAfter',
      'notBefore',
      'roleSubset[0]',
      'roleSubset[1]',
    ]);
  });

  it('without dates makes a key that is good for 90 days from its beginning', () => {
    expect(datesOf({}, NOW)).toEqual({ notBefore: NOW, notAfter: NOW + 90 * DAY });
    expect(datesOf({ notBefore: NOW + 5 }, NOW)).toEqual({
      notBefore: NOW + 5,
      notAfter: NOW + 5 + 90 * DAY,
    });
  });
});

describe('an overlap', () => {
  const old = { notAfter: NOW + 100 } as ConsumerKey;

  it.each([0, 1, 100])('may be %s s of the 100 that are left', (overlap) =>
    expect(checkOverlap(old, NOW, overlap)).toEqual([]),
  );

  it.each([101, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])('may not be %s s', (overlap) =>
    expect(checkOverlap(old, NOW, overlap)).toMatchObject([{ path: 'overlap' }]),
  );
});
