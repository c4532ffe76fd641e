/** Half-days pass, with leaves that live for seconds, and nobody notices. */
import { describe, expect, it } from 'vitest';
import { live } from './half-days.ts';

describe.concurrent('a fleet with certificates of half a day', () => {
  it('lives through 8 of them without a failed call, and never shows a certificate in its second half', {
    timeout: 120_000,
  }, async () => {
    const lived = await live({ halfDays: 8, clients: 32 });
    expect(lived.failures).toEqual([]);
    expect(lived.calls).toBeGreaterThan(1000);
    expect(lived.ages.length).toBeGreaterThan(100);
    expect(Math.max(...lived.ages)).toBeLessThan(0.5);
    // Renewed at every pass, four times in half a day.
    expect(lived.certificates).toBeGreaterThan(24);
  });

  it('whose issuer is asleep for two runs, again and again, has no outage', async () => {
    const lived = await live({ halfDays: 3, clients: 4, isAwake: (pass) => pass % 3 === 0 });
    expect(lived.failures).toEqual([]);
    expect(Math.max(...lived.ages)).toBeGreaterThan(0.6);
    expect(Math.max(...lived.ages)).toBeLessThan(1);
    expect(lived.certificates).toBeGreaterThan(2);
    expect(lived.log.lines.some(({ msg }) => /ends soon/.test(String(msg)))).toBe(true);
  });

  it('whose issuer never comes again is told so loudly, and then nobody can connect', async () => {
    const lived = await live({ halfDays: 1.4, clients: 1, isAwake: (pass) => pass === 0 });
    expect(lived.failures.join()).toMatch(/certificate has expired/);
    expect(lived.log.lines.some(({ msg }) => /has ended/.test(String(msg)))).toBe(true);
  });
});
