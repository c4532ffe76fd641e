import { afterEach, expect, it } from 'vitest';
import { endAll } from './processes.ts';
import { race, twoGateways } from './two-gateways.ts';

afterEach(endAll);

it('of one message sent to both at the same instant, exactly one is done, each of 5,000 times', {
  timeout: 600_000,
}, async () => {
  const done = await race(await twoGateways(), 5000);
  expect(Math.min(...done)).toBeGreaterThan(0);
});
