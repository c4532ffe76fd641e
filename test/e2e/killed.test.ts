import { afterEach, expect, it } from 'vitest';
import { killUnderLoad } from './killed-gateway.ts';
import { endAll } from './processes.ts';

afterEach(endAll);

it('of all calls that a killed gateway had answered, none is accepted a second time', async () => {
  expect(await killUnderLoad(3)).toBeGreaterThan(0);
});
