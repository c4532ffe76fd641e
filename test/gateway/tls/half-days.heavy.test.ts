/** A month of half-days. */
import { expect, it } from 'vitest';
import { HALF_DAY, live } from './half-days.ts';

const HALF_DAYS = 60;

it(
  `${HALF_DAYS} half-days pass without a failed call, and no new connection sees a certificate in its second half`,
  async () => {
    const lived = await live({ halfDays: HALF_DAYS, clients: 32 });
    expect(lived.failures).toEqual([]);
    expect(Math.max(...lived.ages)).toBeLessThan(0.5);
    expect(lived.certificates).toBeGreaterThan(HALF_DAYS * 3);
  },
  (HALF_DAYS * HALF_DAY + 60) * 1000,
);
