/** `quotas:` and `publicDemo:`. */
import { describe, expect, it } from 'vitest';
import { faults, load } from './load.ts';

describe('quotas', () => {
  it('are read with their defaults', () => {
    const yaml = `
quotas:
  - { consumer: shop, perSecond: 2.5, perHour: 100 }
  - { consumer: kiosk, perSecond: 1, burst: 20, perDay: 5, by: [address, key, address] }
`;
    expect(load(yaml).quotas).toEqual([
      { consumer: 'shop', perSecond: 2.5, burst: 3, perHour: 100, perDay: undefined, by: ['consumer'] },
      { consumer: 'kiosk', perSecond: 1, burst: 20, perHour: undefined, perDay: 5, by: ['key', 'address'] },
    ]);
  });

  it.each([
    ['quotas: shop', 'quotas: must be a list of quotas: [{ consumer, perHour }]'],
    ['quotas: [{ perHour: 5 }]', "quotas[0].consumer: is missing; write a consumer's name, such as shop"],
    [
      'quotas: [{ consumer: Shop, perHour: 5 }]',
      "quotas[0].consumer: must be a consumer's name, such as shop",
    ],
    [
      'quotas: [{ consumer: shop, perHour: 0 }]',
      'quotas[0].perHour: must be a number of calls from 1 to 1000000000',
    ],
    [
      'quotas: [{ consumer: shop, perHour: 1.5 }]',
      'quotas[0].perHour: must be a number of calls from 1 to 1000000000',
    ],
    [
      'quotas: [{ consumer: shop, perhour: 5 }]',
      'quotas[0].perhour: is not a setting; did you mean perHour?',
    ],
    [
      'quotas: [{ consumer: shop, perDay: 5, by: [ip] }]',
      'quotas[0].by[0]: must be one of consumer, key, address',
    ],
    [
      'quotas: [{ consumer: shop }]',
      'quotas[0].consumer: has no limit here; write perSecond, perHour or perDay',
    ],
    ['quotas: [{ consumer: shop, burst: 5 }]', 'quotas[0].burst: needs perSecond, at which it is refilled'],
    [
      'quotas: [{ consumer: shop, perDay: 5 }, { consumer: shop, perHour: 5 }]',
      'quotas[1].consumer: has its quota in quotas[0]; a consumer stands once',
    ],
  ])('%s is refused, with what to write', (yaml, fault) => {
    expect(faults(yaml).map((line) => line.replace(/^c\.yaml:\d+:\d+ /, ''))).toContain(fault);
  });
});

it('publicDemo is off unless it is set', () => {
  expect(load('').publicDemo).toBe(false);
  expect(load('publicDemo: true').publicDemo).toBe(true);
  expect(faults('publicDemo: yes please')[0]).toContain('publicDemo: must be true or false');
});
