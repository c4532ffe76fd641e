/**
 * The second part of the benchmark: idempotent effects a second where calls share a commit, beside one commit for
 * each call. The same endpoint on the same store, in process: nonce, effect, sealed result and audit row, synced.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { epochSeconds, systemClock } from '../../src/clock.ts';
import type { IdempotentEndpoint } from '../../src/idempotency/endpoint.ts';
import { runEndpoint } from '../../src/idempotency/run.ts';
import { authorize } from '../../src/security/authorize.ts';
import { securityContext } from '../../src/security/security-context.ts';
import { SqliteStore } from '../../src/storage/sqlite/store.ts';
import type { Transaction } from '../../src/storage/unit-of-work.ts';

export interface EffectFigures {
  /** Calls that are under way at once where they share commits. */
  readonly atOnce: number;
  /** Effects a second, medians of the rounds. */
  readonly shared: number;
  readonly alone: number;
  /** Shared to alone: the median of the rounds' ratios, and its extremes. */
  readonly ratio: number;
  readonly lowest: number;
  readonly highest: number;
}

const AT_ONCE = 64;
const COUNTERS = 16;
const SKEW = 30;

interface Count {
  readonly name: string;
  readonly value: number;
}

const raise: IdempotentEndpoint<Transaction, string, string, number, Count, 'any'> = {
  name: 'counter.raise',
  role: 'any',
  idempotency: 'nonce',
  parameters: (name) => name,
  loadState: async (tx, name) => ((await tx.state.get('counters', name)) as number | undefined) ?? 0,
  updateState: (value, name) => ({ name, value: value + 1 }),
  apply: (tx, { name, value }) => tx.state.put('counters', name, value),
  getResponse: ({ value }) => ({ status: 200, body: { value } }),
  audit: ({ name }) => ({ subject: name }),
};

/** @param count effects of each kind in a round. */
export async function measureEffects(rounds: number, count: number): Promise<EffectFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'));
  const store = new SqliteStore({ folder, clock: systemClock, skew: SKEW, masterKey: undefined });
  try {
    const run = caller(store);
    const shared: number[] = [];
    const alone: number[] = [];
    for (let round = 0; round <= rounds; round++) {
      const together = await perSecond(run, count, AT_ONCE);
      const oneByOne = await perSecond(run, count, 1);
      // The first round warms up, and isn't counted.
      if (round === 0) continue;
      shared.push(together);
      alone.push(oneByOne);
    }
    const ratios = shared.map((figure, i) => figure / (alone[i] as number));
    return {
      atOnce: AT_ONCE,
      shared: Math.round(median(shared)),
      alone: Math.round(median(alone)),
      ratio: Number(median(ratios).toFixed(2)),
      lowest: Number(Math.min(...ratios).toFixed(2)),
      highest: Number(Math.max(...ratios).toFixed(2)),
    };
  } finally {
    store.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function caller(store: SqliteStore): (index: number) => Promise<unknown> {
  const { vault, commitGroup } = store;
  const sealing = {
    seal: (id: string, result: Buffer) => vault.seal('result', id, result),
    open: (id: string, sealed: Buffer) => vault.open('result', id, sealed),
  };
  const options = { sealing, keyLife: 86_400, skew: SKEW };
  const keyid = 'bench.1';
  const context = securityContext({ principal: 'consumer:bench', keyid, roles: [] });
  return (index) => {
    const now = epochSeconds(systemClock);
    const value = randomBytes(24).toString('base64url');
    const call = {
      identity: { by: 'nonce', nonce: { keyid, value, created: now, expires: now + 60 } },
      fingerprint: value,
      input: `counter-${index % COUNTERS}`,
      now,
      keyid,
      actor: 'bench',
      requestId: value,
      authorize: () => authorize(context, 'any'),
    } as const;
    return runEndpoint(commitGroup, raise, call, options);
  };
}

/** Keeps so many calls under way; each asks for the next one when it is answered. @returns calls a second. */
async function perSecond(
  run: (index: number) => Promise<unknown>,
  count: number,
  atOnce: number,
): Promise<number> {
  let next = 0;
  const started = performance.now();
  const lane = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) await run(i);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return count / ((performance.now() - started) / 1000);
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
