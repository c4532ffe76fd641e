/** The RateLimit fields are structured fields, as a strict parser reads them. */
import { parseList } from 'structured-headers';
import { expect, it } from 'vitest';
import { ConsumerQuotas } from '../../src/limits/consumer-quotas.ts';
import { standingOf, usedBy } from '../../src/limits/quotas.ts';
import { rateLimitFields } from '../../src/limits/ratelimit-fields.ts';

const caller = { consumer: 'shop', keyid: 'shop.1', address: '10.0.0.1' };
const setting = { consumer: 'shop', perSecond: 0.5, burst: 3, perHour: 80, perDay: 200 } as const;

const plain = (field: string) =>
  parseList(field).map(([name, parameters]) => [name, Object.fromEntries(parameters)]);

it('name each quota with its size and its window, and what is left of it', () => {
  const quotas = new ConsumerQuotas([{ ...setting, by: ['consumer'] }]).of(caller) ?? [];
  const standings = quotas.map((quota) => standingOf(quota, usedBy(quota, { since: 0, used: 1 }, 500), 500));
  const fields = rateLimitFields(standings);
  expect(plain(fields['RateLimit-Policy'])).toEqual([
    ['consumer-burst', { q: 3, w: 6 }],
    ['consumer-hour', { q: 80, w: 3600 }],
    ['consumer-day', { q: 200, w: 86_400 }],
  ]);
  expect(plain(fields.RateLimit)).toEqual([
    ['consumer-burst', { r: 2, t: 2 }],
    ['consumer-hour', { r: 79, t: 3600 }],
    ['consumer-day', { r: 199, t: 86_400 }],
  ]);
});

it('tell each subject apart that is counted for itself', () => {
  const quotas =
    new ConsumerQuotas([
      {
        consumer: 'shop',
        perSecond: undefined,
        burst: undefined,
        perHour: 5,
        perDay: undefined,
        by: ['key', 'address'],
      },
    ]).of(caller) ?? [];
  expect(quotas.map(({ name, counter }) => [name, counter])).toEqual([
    ['key-hour', 'key-hour shop.1'],
    ['address-hour', 'address-hour shop 10.0.0.1'],
  ]);
});

it('are there for nobody without a quota', () => {
  expect(
    new ConsumerQuotas([{ ...setting, by: ['consumer'] }]).of({ ...caller, consumer: 'bank' }),
  ).toBeUndefined();
});
