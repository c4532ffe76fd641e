import { afterEach, expect, it } from 'vitest';
import { killUnderLoad } from './killed-gateway.ts';
import { endAll } from './processes.ts';

afterEach(endAll);

it('of all calls that a gateway had answered, none is accepted again, killed sixty times', {
  timeout: 600_000,
}, async () => {
  expect(await killUnderLoad(60)).toBeGreaterThan(60);
});
