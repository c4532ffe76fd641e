/** A store whose disk is full: it serves nothing, loses nothing, and goes on when there is room again. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Nonce } from '../../src/replay/nonces.ts';
import { SqliteCommitGroup } from '../../src/storage/sqlite/commit-group.ts';
import { type Database, openDatabase } from '../../src/storage/sqlite/database.ts';
import { SqliteNonces } from '../../src/storage/sqlite/nonces.ts';
import { SqliteStore } from '../../src/storage/sqlite/store.ts';
import { nonce } from '../contracts/store.ts';
import { dataFolder } from '../storage/data-folder.ts';
import { ManualClock } from '../storage/manual-clock.ts';
import { transactionParts } from '../storage/transaction-parts.ts';
import { StoreProcess } from './store-process.ts';

const unavailable = { code: 'store-unavailable', members: { outcome: 'unknown' } };

function someNonces(count: number): Nonce[] {
  return Array.from({ length: count }, () => nonce());
}

describe('a database that may not grow', () => {
  /** A group on a database whose number of pages can be limited. */
  function makeGroup(): { group: SqliteCommitGroup; database: Database } {
    const { writer: database, reader } = openDatabase(dataFolder());
    onTestFinished(() => {
      reader.close();
      database.close();
    });
    const nonces = new SqliteNonces(database);
    const observer = { committed() {}, failed() {} };
    return {
      group: new SqliteCommitGroup({
        ...transactionParts(database),
        database,
        nonces,
        onChange() {},
        observer,
      }),
      database,
    };
  }

  it('refuses the whole turn, undoes it, and takes the same nonces when it may grow again', async () => {
    const { group, database } = makeGroup();
    const kept = nonce();
    await group.claim(kept);
    const pages = database.pragma('page_count', { simple: true }) as number;
    database.pragma(`max_page_count = ${pages}`);
    // Many nonces make a row that no free space of a page can hold.
    const refused = someNonces(2000);
    const shop = { name: 'shop', roles: [], createdAt: 1 };
    for (let time = 0; time < 2; time++) {
      const ends = await Promise.allSettled([
        ...refused.map((each) => group.claim(each)),
        group.run('add', (tx) => tx.consumers.add(shop)),
      ]);
      for (const end of ends) expect(end).toMatchObject({ status: 'rejected', reason: unavailable });
    }
    database.pragma(`max_page_count = ${pages + 1000}`);
    const verdicts = await Promise.all(refused.map((each) => group.claim(each)));
    expect(verdicts).toEqual(Array(2000).fill('claimed'));
    expect(await group.claim(kept)).toBe('replayed');
    await group.run('add', (tx) => tx.consumers.add(shop));
  });

  it.each(['goes on', 'ends'])(
    'fails work that has caught the failure and %s: nothing of it stays',
    async (how) => {
      const { group, database } = makeGroup();
      database.pragma(`max_page_count = ${database.pragma('page_count', { simple: true })}`);
      const roles = ['x'.repeat(100_000)];
      const swallowed = group.run('swallow', async ({ consumers }) => {
        await consumers.add({ name: 'small', roles: [], createdAt: 1 });
        try {
          await consumers.add({ name: 'large', roles, createdAt: 1 });
        } catch {
          // As careless work would.
        }
        if (how === 'goes on') await consumers.add({ name: 'after', roles: [], createdAt: 1 });
      });
      // The failure that came first, not what it led to.
      await expect(swallowed).rejects.toMatchObject({ ...unavailable, cause: { code: 'SQLITE_FULL' } });
      expect(database.prepare('SELECT count(*) FROM consumers').pluck().get()).toBe(0);
      expect(await group.claim(nonce())).toBe('claimed');
    },
  );
});

describe.skipIf(process.platform === 'win32')('a process that may write no larger files', () => {
  /** Claims in turns of a hundred until the store refuses one. */
  async function claimUntilRefused(child: StoreProcess): Promise<{ claimed: Nonce[]; refused: Nonce[] }> {
    const claimed: Nonce[] = [];
    for (;;) {
      const nonces = someNonces(100);
      const { error } = await child.ask({ kind: 'claim', nonces });
      if (error) {
        expect(error).toMatchObject(unavailable);
        return { claimed, refused: nonces };
      }
      claimed.push(...nonces);
    }
  }

  /** Blocks of 512 bytes: room for the schema and some hundred turns. */
  const limit = 'ulimit -S -f 1000';

  it('refuses, and keeps refusing; the next start finds all that was claimed and nothing else', async () => {
    const folder = dataFolder();
    const child = await StoreProcess.start(limit);
    await child.tell({ kind: 'open', folder });
    const { claimed, refused } = await claimUntilRefused(child);
    expect(claimed.length).toBeGreaterThan(1000);
    for (let time = 0; time < 3; time++) {
      expect((await child.ask({ kind: 'claim', nonces: refused })).error).toMatchObject(unavailable);
    }
    await child.kill();
    const store = new SqliteStore({ folder, clock: new ManualClock(), skew: 30, masterKey: undefined });
    onTestFinished(() => store.close());
    const verdicts = (nonces: Nonce[]) => Promise.all(nonces.map((each) => store.nonces.claim(each)));
    expect(await verdicts(claimed)).toEqual(Array(claimed.length).fill('replayed'));
    expect(await verdicts(refused)).toEqual(Array(refused.length).fill('claimed'));
  });

  it.skipIf(!existsSync('/usr/bin/prlimit'))('goes on without a restart when it may again', async () => {
    const folder = dataFolder();
    const child = await StoreProcess.start(limit);
    await child.tell({ kind: 'open', folder });
    const { claimed, refused } = await claimUntilRefused(child);
    execFileSync('/usr/bin/prlimit', ['--pid', String(child.process.pid), '--fsize=unlimited']);
    expect(await child.claim(refused)).toEqual(Array(refused.length).fill('claimed'));
    expect(await child.claim(claimed)).toEqual(Array(claimed.length).fill('replayed'));
  });
});
