/** A purge in SQLite: it keeps up, it stores its horizon first, and memory follows. */
import Sqlite from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  type Connections,
  databaseFile,
  openDatabase,
  openFile,
} from '../../../src/storage/sqlite/database.ts';
import { SqliteNonces } from '../../../src/storage/sqlite/nonces.ts';
import { SqliteStore } from '../../../src/storage/sqlite/store.ts';
import { dataFolder } from '../data-folder.ts';
import { ManualClock } from '../manual-clock.ts';

const START = 1_800_000_000;
const SKEW = 30;

function open(folder: string, clock: ManualClock): SqliteStore {
  const store = new SqliteStore({ folder, clock, skew: SKEW, masterKey: undefined });
  onTestFinished(() => store.close());
  return store;
}

/** How many rows of nonces lie in the file. */
function rowsIn(folder: string): number {
  const database = new Sqlite(databaseFile(folder), { readonly: true });
  onTestFinished(() => {
    database.close();
  });
  return database.prepare('SELECT count(*) FROM nonces').pluck().get() as number;
}

/** Claims each of these expiries in a turn, and so a row, of its own. */
async function claimRows(store: SqliteStore, expiries: Iterable<number>): Promise<void> {
  for (const expires of expiries) {
    const value = `nonce-${expires}-${store.nonceCount}`;
    await store.nonces.claim({ keyid: 'shop.1', value, created: START, expires });
  }
}

describe('a purge', () => {
  it('clears whatever may go, however much it is, but for the newest row', async () => {
    const [folder, clock] = [dataFolder(), new ManualClock(START)];
    const store = open(folder, clock);
    await claimRows(
      store,
      Array.from({ length: 5000 }, (_, i) => START + Math.floor(i / 50)),
    );
    expect(rowsIn(folder)).toBe(5000);
    clock.seconds = START + 1000;
    await store.purge();
    expect(rowsIn(folder)).toBe(1);
    expect(store.nonceCount).toBeLessThanOrEqual(64 * 50);
    expect(
      await store.nonces.claim({ keyid: 'shop.1', value: 'x', created: START, expires: START + 99 }),
    ).toBe('expired');
  });

  it('leaves the rows that must stay, and ids that never start anew', async () => {
    const [folder, clock] = [dataFolder(), new ManualClock(START)];
    const store = open(folder, clock);
    await claimRows(store, [START, START + 300, START + 1, START + 2]);
    clock.seconds = START + 200;
    await store.purge();
    const database = new Sqlite(databaseFile(folder), { readonly: true });
    expect(database.prepare('SELECT id, expires FROM nonces ORDER BY id').all()).toEqual([
      { id: 2, expires: START + 300 },
      { id: 4, expires: START + 2 },
    ]);
    database.close();
    await claimRows(store, [START + 400]);
    expect(rowsIn(folder)).toBe(3);
    clock.seconds = START + 1000;
    await store.purge();
    expect(rowsIn(folder)).toBe(1);
  });

  it('stores its horizon before anything goes: stopped in between, nothing becomes good again', async () => {
    const [folder, clock] = [dataFolder(), new ManualClock(START)];
    const first = open(folder, clock);
    await claimRows(first, [START, START, START]);
    first.close();
    const connections: Connections = openDatabase(folder);
    const nonces = new SqliteNonces(connections.writer);
    expect(nonces.raiseHorizon(START + 10)).toBe(START);
    connections.reader.close();
    connections.writer.close();
    const store = open(folder, clock);
    expect(rowsIn(folder)).toBe(3);
    const unseen = { keyid: 'shop.1', value: 'x', created: START - 60, expires: START };
    expect(await store.nonces.claim(unseen)).toBe('expired');
  });

  it('gives back the memory of what it forgot, also on a store that only follows', async () => {
    const [folder, clock] = [dataFolder(), new ManualClock(START)];
    const [store, other] = [open(folder, clock), open(folder, clock)];
    for (let minute = 0; minute < 50; minute++) {
      clock.seconds = START + minute * 60;
      await claimRows(store, Array(20).fill(clock.seconds + 60));
      await store.purge();
      await claimRows(other, [clock.seconds + 60]);
    }
    expect(store.nonceCount).toBeLessThan(150);
    expect(other.nonceCount).toBeLessThan(150);
    expect(rowsIn(folder)).toBeLessThan(150);
  });
});

describe('changes of consumers', () => {
  const CHANGE = 'change a consumer';
  /** As many as are kept beyond the last, by one process. */
  async function changeMany(store: SqliteStore): Promise<void> {
    await store.commitGroup.run(CHANGE, async (tx) => {
      for (let i = 0; i < 10_000; i++) await tx.consumers.update('shop', {});
    });
  }
  const changesIn = (folder: string) => {
    const database = openFile(databaseFile(folder));
    onTestFinished(() => {
      database.close();
    });
    return database.prepare('SELECT count(*) FROM changes').pluck().get();
  };

  it('are kept in part, and who has missed some of the rest is told that any may have changed', async () => {
    const [folder, clock] = [dataFolder(), new ManualClock(START)];
    const heard: string[] = [];
    const follower = new SqliteStore({
      ...{ folder, clock, skew: SKEW, masterKey: undefined },
      onChange: (name) => heard.push(name),
      onMissed: () => heard.push('any'),
    });
    onTestFinished(() => follower.close());
    const look = async () => {
      heard.length = 0;
      await follower.commitGroup.run('look', () => {});
      return { heard: heard.length, any: heard.includes('any') };
    };
    const store = open(folder, clock);
    await store.commitGroup.run(CHANGE, (tx) => tx.consumers.add({ name: 'shop', roles: [], createdAt: 1 }));
    await store.purge();
    expect(await look()).toEqual({ heard: 1, any: false });
    // All that the follower has missed is still there.
    await changeMany(store);
    await store.purge();
    expect(changesIn(folder)).toBe(10_000);
    expect(await look()).toEqual({ heard: 10_000, any: false });
    // One row that it needed is gone.
    await changeMany(store);
    await store.commitGroup.run(CHANGE, (tx) => tx.consumers.update('shop', {}));
    await store.purge();
    expect(changesIn(folder)).toBe(10_000);
    expect(await look()).toEqual({ heard: 10_001, any: true });
    expect(await look()).toEqual({ heard: 0, any: false });
  });
});
