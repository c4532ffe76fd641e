/** Many more mutated requests, from another seed at each run. */
import { expect, it } from 'vitest';
import { startTestGateway } from '../../src/testing.ts';
import { sendMutated } from './mutated-requests.ts';
import { send, sign } from './wire.ts';

const SEED = Math.floor(Math.random() * 2 ** 31);

it(`50,000 mutated requests from seed ${SEED} on are refused, or are what was signed`, async () => {
  const gateway = await startTestGateway({ settings: { limits: { failures: { burst: 1_000_000 } } } });
  await sendMutated(gateway, SEED, 50_000);
  expect((await send(gateway, sign(gateway, gateway.credentials))).status).toBe(200);
  await gateway.close();
}, 600_000);
