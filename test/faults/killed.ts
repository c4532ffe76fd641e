/**
 * A process that is killed while it claims, and what the next one makes of its folder.
 * @module
 */
import { randomInt } from 'node:crypto';
import Sqlite from 'better-sqlite3';
import { expect } from 'vitest';
import type { NonceVerdict } from '../../src/replay/nonces.ts';
import { databaseFile } from '../../src/storage/sqlite/database.ts';
import { SqliteStore } from '../../src/storage/sqlite/store.ts';
import { dataFolder } from '../storage/data-folder.ts';
import { ManualClock } from '../storage/manual-clock.ts';
import { StoreProcess } from './store-process.ts';

/** Kills one process after another on one folder, each after a random number of claims that it told of. */
export async function killAgainAndAgain(rounds: number): Promise<void> {
  const folder = dataFolder();
  const told: string[] = [];
  let next = StoreProcess.start();
  for (let round = 0; round < rounds; round++) {
    const child = await next;
    // The next one loads its modules meanwhile.
    if (round + 1 < rounds) next = StoreProcess.start();
    await child.tell({ kind: 'open', folder });
    await child.tell({ kind: 'flood', prefix: `round-${round}` });
    await child.told(randomInt(1, 3000));
    await child.kill();
    expect(child.lines.filter((line) => !/^(claimed|added) /.test(line))).toEqual([]);
    told.push(...child.lines);
    // All that was ever told each tenth time, or 200 rounds would take an hour.
    await expectKept(folder, (round + 1) % 10 === 0 ? told : child.lines);
  }
}

/** Nothing that was told is lost. */
async function expectKept(folder: string, told: readonly string[]): Promise<void> {
  const check = new Sqlite(databaseFile(folder), { readonly: true });
  expect(check.pragma('integrity_check', { simple: true })).toBe('ok');
  check.close();
  const clock = new ManualClock();
  const store = new SqliteStore({ folder, clock, skew: 30, masterKey: undefined });
  try {
    const words = told.map((line) => line.split(' ') as [string, string]);
    const claimed = words.filter(([kind]) => kind === 'claimed').map(([, value]) => value);
    const names = words.filter(([kind]) => kind === 'added').map(([, name]) => name);
    const verdicts: NonceVerdict[] = await Promise.all(
      claimed.map((value) => {
        const created = clock.seconds;
        return store.nonces.claim({ keyid: 'shop.1', value, created, expires: created + 60 });
      }),
    );
    expect(claimed.filter((_, i) => verdicts[i] !== 'replayed')).toEqual([]);
    const kept = new Set(store.consumers.list().map(({ name }) => name));
    expect(names.filter((name) => !kept.has(name))).toEqual([]);
  } finally {
    store.close();
  }
}
