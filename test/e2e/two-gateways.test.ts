import { afterAll, beforeAll, expect, it } from 'vitest';
import { operator } from '../cli/commands.ts';
import { problem, send, sign } from '../gateway/wire.ts';
import { endAll, type GatewayProcess } from './processes.ts';
import { race, twoGateways } from './two-gateways.ts';

let gateways: [GatewayProcess, GatewayProcess];
beforeAll(async () => {
  gateways = await twoGateways();
});
afterAll(endAll);

it('of one message sent to both at the same instant, exactly one is done, each of 300 times', async () => {
  const done = await race(gateways, 300);
  // Had one of them won every time, they would hardly have raced.
  expect(Math.min(...done)).toBeGreaterThan(0);
});

it('what one has done the other refuses', async () => {
  const [one, other] = gateways;
  const request = sign(one, one.credentials, { host: 'gateway.test' });
  expect((await send(one, request)).status).toBe(200);
  expect(problem(await send(other, request)).code).toBe('nonce-replayed');
});

it('a consumer who is disabled is refused by both at the very next call', async () => {
  const admin = operator(gateways[0].data);
  const key = await admin.json<{ keyid: string; secret: string }>(['consumer', 'add', 'shop']);
  const call = (gateway: GatewayProcess) =>
    send(gateway, sign(gateway, key, { host: 'gateway.test', method: 'GET', target: '/v1/whoami' }));
  expect((await Promise.all(gateways.map(call))).map(({ status }) => status)).toEqual([200, 200]);
  await admin.json(['consumer', 'disable', 'shop']);
  const refusals = await Promise.all(gateways.map(call));
  expect(refusals.map((answer) => problem(answer).code)).toEqual(['key-inactive', 'key-inactive']);
});
