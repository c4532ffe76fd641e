/** Who is warned that a key ends, when, and how often. */
import { describe, expect, it } from 'vitest';
import type { ConsumerKey, KeyTerm } from '../../src/consumers/consumer.ts';
import { DailyReminder, expiryWarnings, keyStatus } from '../../src/consumers/expiry.ts';

const NOW = 1_800_000_000;
const DAY = 86_400;

const term = (notAfter: number, given: Partial<KeyTerm> = {}): KeyTerm => ({
  keyid: 'shop.1',
  consumer: 'shop',
  notAfter,
  ...given,
});

describe('a warning', () => {
  it.each([
    [14 * DAY + 1, undefined],
    [14 * DAY, 14],
    [7 * DAY + 1, 14],
    [7 * DAY, 7],
    [DAY + 1, 7],
    [DAY, 1],
    [1, 1],
    [0, undefined],
    [-1, undefined],
  ])('%s s before the end is that of %s days', (left, threshold) => {
    expect(expiryWarnings([term(NOW + left)], NOW).map((each) => each.threshold)).toEqual(
      threshold === undefined ? [] : [threshold],
    );
  });

  it('says which key of whom ends when, and what to do', () => {
    const [warning] = expiryWarnings([term(NOW + 3 * DAY)], NOW);
    expect(warning?.detail).toBe(
      'The key shop.1 of shop ends in 3 days, at 2027-01-18T08:00:00.000Z; run: countersign key rotate shop.1',
    );
    expect(expiryWarnings([term(NOW + 3600)], NOW)[0]?.detail).toContain('in an hour, at');
  });

  it('is not given of the public demo, which the gateway renews', () => {
    expect(expiryWarnings([term(NOW + 100, { consumer: 'public-demo' })], NOW)).toEqual([]);
  });

  it('of a key that has a successor is given only while it is still used', () => {
    const rotated = { supersededAt: NOW - 100 };
    const told = (given: Partial<KeyTerm>) =>
      expiryWarnings([term(NOW + 100, { ...rotated, ...given })], NOW).length;
    expect(told({})).toBe(0);
    expect(told({ lastUsed: NOW - 100 })).toBe(0);
    expect(told({ lastUsed: NOW - 99 })).toBe(1);
  });
});

describe('a reminder', () => {
  it('comes once a day for each key and threshold, and at once for the next threshold', () => {
    const reminder = new DailyReminder();
    const due = (now: number, ...keys: KeyTerm[]) =>
      reminder.due(expiryWarnings(keys, now), now).map(({ keyid, threshold }) => `${keyid} ${threshold}`);
    const [one, two] = [term(NOW + 8 * DAY), term(NOW + 9 * DAY, { keyid: 'shop.2' })];
    expect(due(NOW, one)).toEqual(['shop.1 14']);
    expect(due(NOW + 3600, one, two)).toEqual(['shop.2 14']);
    expect(due(NOW + DAY - 1, one, two)).toEqual([]);
    expect(due(NOW + DAY, one, two)).toEqual(['shop.1 7']);
    expect(due(NOW + DAY + 3600, one, two)).toEqual(['shop.2 14']);
  });
});

describe('the status of a key', () => {
  const key = (given: Partial<ConsumerKey>): ConsumerKey => ({
    keyid: 'shop.1',
    consumer: 'shop',
    sealedSecret: Buffer.alloc(0),
    createdAt: NOW,
    vouchedAt: NOW,
    notBefore: NOW,
    notAfter: NOW + 90 * DAY,
    ...given,
  });

  it.each<[string, Partial<ConsumerKey>]>([
    ['active', {}],
    ['expiring', { notAfter: NOW + 14 * DAY }],
    ['superseded', { successor: 'shop.2', notAfter: NOW + DAY }],
    ['not yet valid', { notBefore: NOW + 1 }],
    ['expired', { notAfter: NOW, successor: 'shop.2' }],
    ['revoked', { revokedAt: NOW, notAfter: NOW, successor: 'shop.2' }],
  ])('is %s', (status, given) => expect(keyStatus(key(given), NOW)).toBe(status));
});
