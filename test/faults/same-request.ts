/**
 * Two gateways on one data folder, and the same signed request to both at the same instant.
 * @module
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import {
  type Credentials,
  createTransport,
  draftRequest,
  type Exchange,
  exchange,
  type PreparedRequest,
  prepareRequest,
  signingKey,
} from '../../src/client/index.ts';
import { pathOf, type Work } from './effects.ts';
import { GatewayProcess } from './gateway-process.ts';
import { readLedger } from './ledger.ts';

/** A name of its own, so that the same bytes are good at either port. */
const ORIGIN = 'http://gateway.test';
/** Pairs that race at the same time. */
const LANES = 4;

export class Pair {
  readonly folder: string;
  readonly gateways: readonly GatewayProcess[];
  private ports: readonly number[] = [];
  private readonly transport = createTransport();

  private constructor(count: number) {
    const parent = mkdtempSync(join(tmpdir(), 'countersign-faults-'));
    this.folder = join(parent, 'data');
    this.gateways = Array.from({ length: count }, () => new GatewayProcess());
    onTestFinished(async () => {
      this.transport.close();
      await Promise.all(this.gateways.map((each) => each.kill()));
      rmSync(parent, { recursive: true, force: true });
    });
  }

  static async start(count = 2): Promise<Pair> {
    const pair = new Pair(count);
    const { folder } = pair;
    const ports: number[] = [];
    for (const gateway of pair.gateways) {
      ports.push(await gateway.tell<number>({ kind: 'open', folder, port: 0, origins: [ORIGIN] }));
    }
    pair.ports = ports;
    return pair;
  }

  async consumer(name: string): Promise<Credentials> {
    const [key] = await (this.gateways[0] as GatewayProcess).tell<Credentials[]>({
      kind: 'consumers',
      names: [name],
    });
    return key as Credentials;
  }

  /** @param key an Idempotency-Key; without one, the message stands for itself. */
  prepare(credentials: Credentials, work: Work, key?: string): PreparedRequest {
    const draft = draftRequest({
      method: 'POST',
      origin: ORIGIN,
      target: pathOf(work, key === undefined ? 'nonce' : 'key'),
      headers: [
        ['content-type', 'application/json'],
        ...(key === undefined ? [] : [['idempotency-key', `"${key}"`] as const]),
      ],
      body: JSON.stringify(work),
    });
    return prepareRequest(draft, signingKey(credentials), { created: Math.floor(Date.now() / 1000) });
  }

  /** @param which of the gateways. */
  send(prepared: PreparedRequest, which = 0): Promise<Exchange> {
    const { transport } = this;
    const to = new URL(`http://127.0.0.1:${this.ports[which]}`);
    const signal = AbortSignal.timeout(30_000);
    return exchange(prepared, { transport, signal, maxResponseBody: 1024 * 1024, to });
  }

  async end(): Promise<void> {
    await Promise.all(this.gateways.map((each) => each.kill()));
  }
}

/** What was answered, apart from its signature. */
export function answerOf({ received, verified, error }: Exchange) {
  return {
    status: received.status,
    code: error?.code,
    replayed: verified?.fields.get('idempotent-replayed') === 'true',
    body: verified && Buffer.from(verified.body).toString(),
  };
}

/** Sends each request to both at once, many times: one of them carries it out, and both give its one result. */
export async function raceSameRequests(times: number): Promise<void> {
  const pair = await Pair.start();
  const shop = await pair.consumer('shop');
  const wins = [0, 0];
  let begun = 0;
  const lane = async (): Promise<void> => {
    while (begun < times) {
      const turn = begun++;
      const op = `op-${turn}`;
      const prepared = pair.prepare(shop, { op, counter: 'c0', amount: 1 });
      // Each is told first as often as the other, or the quicker one may win every time.
      const [first, second] = turn % 2 ? [0, 1] : [1, 0];
      const received = await Promise.all([pair.send(prepared, first), pair.send(prepared, second)]);
      const answers = (first === 0 ? received : received.reverse()).map(answerOf);
      const bodies = new Set(answers.map(({ body }) => body));
      expect({ answers, bodies: bodies.size }).toMatchObject({
        answers: [{ status: 200 }, { status: 200 }],
        bodies: 1,
      });
      expect(answers.filter(({ replayed }) => replayed)).toHaveLength(1);
      const winner = answers.findIndex(({ replayed }) => !replayed);
      wins[winner] = (wins[winner] as number) + 1;
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  await pair.end();
  const { counters, entries, audited, damage } = readLedger(pair.folder);
  expect(damage).toEqual([]);
  expect(counters.get('c0')).toBe(times);
  expect([...entries.values()].filter((entry) => entry.times !== 1)).toEqual([]);
  expect([...audited.values()].filter((rows) => rows !== 1)).toEqual([]);
  expect([entries.size, audited.size]).toEqual([times, times]);
  // Had one of them won every time, they would hardly have raced.
  expect(Math.min(...wins)).toBeGreaterThan(0);
}
