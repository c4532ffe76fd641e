/** A key that is revoked by another process while 64 connections call with it: refused by every gateway at once. */
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { operator } from '../cli/commands.ts';
import { bytesOf, sign } from '../gateway/wire.ts';
import { KeptConnection } from './kept-connection.ts';
import { type Credentials, endAll, type GatewayProcess, serve, temporaryFolder } from './processes.ts';

afterAll(endAll);

const CONNECTIONS = 64;

interface Call {
  readonly sentAt: number;
  readonly refusal: string | undefined;
}

it('a revoked key is refused within a second, and never again accepted, while another goes on', async () => {
  const data = join(temporaryFolder(), 'data');
  const gateways = [await serve(data), await serve(data)];
  const admin = operator(data);
  const leaky = await admin.json<Credentials>(['consumer', 'add', 'leaky']);
  const sound = await admin.json<Credentials>(['consumer', 'add', 'sound']);

  let stopped = false;
  const answered = new Array<number>(CONNECTIONS).fill(0);
  let awaited = { counts: answered, reached: () => {} };
  /** Resolves when so many more calls have been answered on each connection, however the processes share the machine. */
  const more = (count: number) =>
    new Promise<void>((reached) => {
      awaited = { counts: answered.map((each) => each + count), reached };
    });
  async function keepCalling(lane: number, gateway: GatewayProcess, key: Credentials): Promise<Call[]> {
    const connection = await KeptConnection.open(gateway.port);
    const calls: Call[] = [];
    while (!stopped) {
      const sentAt = performance.now();
      const reply = await connection.send(
        bytesOf(sign(gateway, key, { method: 'GET', target: '/v1/whoami' })),
      );
      if (!reply) throw new Error('a connection was closed');
      calls.push({ sentAt, refusal: reply.refusal });
      answered[lane] = calls.length;
      if (awaited.counts.every((count, i) => (answered[i] as number) >= count)) awaited.reached();
    }
    connection.close();
    return calls;
  }
  const lanes = Array.from({ length: CONNECTIONS }, (_, lane) => {
    const key = lane % 8 === 0 ? sound : leaky;
    const calls = keepCalling(lane, gateways[lane % 2 === 0 ? 0 : 1] as GatewayProcess, key);
    return calls.then((done) => ({ key, done }));
  });
  await more(4);
  await admin.json(['key', 'revoke', leaky.keyid]);
  const revokedAt = performance.now();
  await more(4);
  stopped = true;

  for (const { key, done } of await Promise.all(lanes)) {
    expect(done.length).toBeGreaterThan(1);
    if (key === sound) expect(done.filter(({ refusal }) => refusal !== undefined)).toEqual([]);
    else {
      expect(done[0]?.refusal).toBeUndefined();
      // The command had ended by then: not even a second is needed.
      const after = done.filter(({ sentAt }) => sentAt > revokedAt);
      expect(after.length).toBeGreaterThan(0);
      expect(after.filter(({ refusal }) => refusal !== 'key-inactive')).toEqual([]);
      const first = done.findIndex(({ refusal }) => refusal !== undefined);
      expect(done.slice(first).every(({ refusal }) => refusal === 'key-inactive')).toBe(true);
    }
  }
});
