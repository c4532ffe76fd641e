/**
 * Two gateways on one data folder, and the same message to both at the same instant.
 * @module
 */
import { join } from 'node:path';
import { expect } from 'vitest';
import { bytesOf, sign } from '../gateway/wire.ts';
import { KeptConnection, type Reply } from './kept-connection.ts';
import { type GatewayProcess, serve, temporaryFolder } from './processes.ts';

const AUTHORITY = 'gateway.test';
/** Pairs of connections that race at the same time. */
const LANES = 4;

export async function twoGateways(): Promise<[GatewayProcess, GatewayProcess]> {
  const data = join(temporaryFolder(), 'data');
  const start = () => serve(data, { variables: { COUNTERSIGN_PUBLIC_ORIGINS: `http://${AUTHORITY}` } });
  return [await start(), await start()];
}

/**
 * Sends a fresh message to both at once, many times: each is done by exactly one of them, once.
 * @returns how many each has done.
 */
export async function race(
  gateways: readonly [GatewayProcess, GatewayProcess],
  times: number,
): Promise<number[]> {
  const [one] = gateways;
  const { credentials } = one;
  const winners: number[] = [];
  let left = times;
  const lane = async () => {
    const connections = await Promise.all(gateways.map(({ port }) => KeptConnection.open(port)));
    while (left-- > 0) {
      const bytes = bytesOf(sign(one, credentials, { host: AUTHORITY }));
      // Each is told first as often as the other, or the quicker one may win every time.
      const order = left % 2 ? [0, 1] : [1, 0];
      const replies: (Reply | undefined)[] = [];
      await Promise.all(
        order.map(async (index) => {
          replies[index] = await connections[index]?.send(bytes);
        }),
      );
      expect(replies.map(outcome).sort()).toEqual(['200 done', '401 nonce-replayed']);
      winners.push(replies.findIndex((reply) => reply?.status === 200));
    }
    for (const connection of connections) connection.close();
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  expect(winners).toHaveLength(times);
  return gateways.map((_, index) => winners.filter((winner) => winner === index).length);
}

function outcome(reply: Reply | undefined): string {
  return reply ? `${reply.status} ${reply.refusal ?? 'done'}` : 'no answer';
}
