/**
 * A gateway that is killed under load and started again, and what it still knows of the calls that it answered.
 * @module
 */
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { expect } from 'vitest';
import { bytesOf, sign } from '../gateway/wire.ts';
import { overConnections, type Reply } from './kept-connection.ts';
import { type GatewayProcess, serve, temporaryFolder } from './processes.ts';

const CONNECTIONS = 16;
const MOST_ANSWERS = 1500;
/** A name of its own, so that the same bytes are good at whatever port the next process listens on. */
const AUTHORITY = 'gateway.test';

/** Kills a gateway again and again, each after a random number of answers. @returns how many answers that were. */
export async function killUnderLoad(rounds: number): Promise<number> {
  const data = join(temporaryFolder(), 'data');
  const start = () => serve(data, { variables: { COUNTERSIGN_PUBLIC_ORIGINS: `http://${AUTHORITY}` } });
  let gateway = await start();
  let answers = 0;
  for (let round = 0; round < rounds; round++) {
    const { answered, unanswered } = await loadUntilKilled(gateway, randomInt(1, MOST_ANSWERS));
    answers += answered.length;
    gateway = await start();
    expect(distinct(await resend(gateway, answered))).toEqual(['401 nonce-replayed']);
    // Of these nobody knows whether they were done: at most once, now or before.
    for (const each of distinct(await resend(gateway, unanswered))) {
      expect(['200 done', '401 nonce-replayed']).toContain(each);
    }
    expect(distinct(await resend(gateway, unanswered))).toEqual(['401 nonce-replayed']);
  }
  expect((await gateway.child.stop()).code).toBe(0);
  return answers;
}

interface Load {
  readonly answered: Buffer[];
  readonly unanswered: Buffer[];
}

async function loadUntilKilled(gateway: GatewayProcess, afterAnswers: number): Promise<Load> {
  const { credentials } = gateway;
  const answered: Buffer[] = [];
  const unanswered: Buffer[] = [];
  await overConnections(gateway.port, CONNECTIONS, async (connection) => {
    for (;;) {
      const created = Math.floor(Date.now() / 1000);
      const bytes = bytesOf(sign(gateway, credentials, { host: AUTHORITY, created, expires: created + 300 }));
      const reply = await connection.send(bytes);
      if (!reply) {
        unanswered.push(bytes);
        return;
      }
      expect(reply).toEqual({ status: 200, refusal: undefined });
      answered.push(bytes);
      // While the others wait for their answers.
      if (answered.length === afterAnswers) gateway.child.kill();
    }
  });
  expect((await gateway.child.ended).code).toBe(null);
  expect(answered.length).toBeGreaterThanOrEqual(afterAnswers);
  expect(unanswered).toHaveLength(CONNECTIONS);
  return { answered, unanswered };
}

/** Sends messages as they stand. @returns what became of each, in no particular order. */
async function resend({ port }: GatewayProcess, messages: readonly Buffer[]): Promise<(Reply | undefined)[]> {
  const waiting = [...messages];
  const replies: (Reply | undefined)[] = [];
  await overConnections(port, CONNECTIONS, async (connection) => {
    for (let bytes = waiting.pop(); bytes; bytes = waiting.pop()) replies.push(await connection.send(bytes));
  });
  expect(replies).toHaveLength(messages.length);
  return replies;
}

function distinct(replies: readonly (Reply | undefined)[]): string[] {
  return [
    ...new Set(replies.map((reply) => (reply ? `${reply.status} ${reply.refusal ?? 'done'}` : 'no answer'))),
  ];
}
