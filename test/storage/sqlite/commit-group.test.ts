/** What SQLite's commit group owes beyond the contract: which commits are synced, and failures in odd places. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { CountersignError } from '../../../src/errors.ts';
import { type CommitObserver, SqliteCommitGroup } from '../../../src/storage/sqlite/commit-group.ts';
import { type Database, openDatabase, openFile } from '../../../src/storage/sqlite/database.ts';
import { SqliteNonces } from '../../../src/storage/sqlite/nonces.ts';
import { nonce } from '../../contracts/store.ts';
import { dataFolder } from '../data-folder.ts';
import { transactionParts } from '../transaction-parts.ts';

const NORMAL = 1;
const FULL = 2;
const silent: CommitObserver = { committed() {}, failed() {} };

/** Notes under which setting each turn's nonces are written. */
class WatchedNonces extends SqliteNonces {
  readonly settings: number[] = [];
  private readonly watched: Database;

  constructor(database: Database) {
    super(database);
    this.watched = database;
  }

  override append(): void {
    this.settings.push(this.watched.pragma('synchronous', { simple: true }) as number);
    super.append();
  }
}

interface Group {
  readonly group: SqliteCommitGroup;
  readonly database: Database;
  readonly nonces: WatchedNonces;
}

function makeGroup(given: { onChange?: (consumer: string) => void; observer?: CommitObserver } = {}): Group {
  const { writer: database, reader } = openDatabase(dataFolder());
  onTestFinished(() => {
    reader.close();
    database.close();
  });
  const nonces = new WatchedNonces(database);
  const { onChange = () => {}, observer = silent } = given;
  return {
    group: new SqliteCommitGroup({ ...transactionParts(database), database, nonces, onChange, observer }),
    database,
    nonces,
  };
}

const shop = { name: 'shop', roles: [], createdAt: 1 };

describe('a turn', () => {
  it('of bare nonces is not synced, one with work is, and the next bare one again is not', async () => {
    const { group, nonces, database } = makeGroup();
    await group.claim(nonce());
    await Promise.all([group.claim(nonce()), group.run('work', () => {})]);
    await group.claim(nonce());
    expect(nonces.settings).toEqual([NORMAL, FULL, NORMAL]);
    expect(database.pragma('synchronous', { simple: true })).toBe(NORMAL);
  });

  it('stays unsynced after work that failed, and after a turn that failed', async () => {
    const { group, nonces } = makeGroup();
    await expect(group.run('work', () => Promise.reject(new Error('on purpose')))).rejects.toThrow();
    const broken = Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR' });
    await expect(group.run('work', () => Promise.reject(broken))).rejects.toMatchObject({
      code: 'store-unavailable',
    });
    await group.claim(nonce());
    expect(nonces.settings).toEqual([FULL, NORMAL]);
  });

  it('is one row and one commit, however many asked', async () => {
    const commits: [number, number][] = [];
    const { group, database } = makeGroup({
      observer: { committed: (claims, jobs) => commits.push([claims, jobs]), failed() {} },
    });
    const claims = Array.from({ length: 200 }, () => group.claim(nonce()));
    await Promise.all([...claims, group.run('one', () => {}), group.run('two', () => {})]);
    expect(commits).toEqual([[200, 2]]);
    expect(database.prepare('SELECT count(*) FROM nonces').pluck().get()).toBe(1);
  });

  it('that used no nonce writes no row', async () => {
    const { group, database } = makeGroup();
    const used = nonce();
    await group.claim(used);
    await group.claim(used);
    await group.run('work', () => {});
    expect(database.prepare('SELECT count(*) FROM nonces').pluck().get()).toBe(1);
  });

  it('that the store fails is refused whole, undone whole, and may be tried again', async () => {
    const failures: unknown[] = [];
    const { group } = makeGroup({ observer: { committed() {}, failed: (error) => failures.push(error) } });
    const [bare, used] = [nonce(), nonce()];
    const broken = Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR' });
    let late: () => unknown = () => {};
    const ends = await Promise.allSettled([
      group.claim(bare),
      group.run('good', (tx) => tx.consumers.add(shop)),
      group.run('bad', async (tx) => {
        late = () => tx.consumers.add(shop);
        await tx.nonces.claim(used);
        throw broken;
      }),
    ]);
    for (const end of ends) {
      expect(end).toMatchObject({
        status: 'rejected',
        reason: {
          code: 'store-unavailable',
          members: { outcome: 'unknown' },
          headers: { 'Retry-After': '1' },
        },
      });
    }
    expect((ends[0] as PromiseRejectedResult).reason).toBeInstanceOf(CountersignError);
    expect(failures).toEqual([broken]);
    expect(late).toThrow('"bad"');
    await group.run('good', (tx) => tx.consumers.add(shop));
    expect(await Promise.all([group.claim(bare), group.claim(used)])).toEqual(['claimed', 'claimed']);
  });
});

describe('a listener to changes that fails', () => {
  it('after a commit does not take its answer away, and is told again at the next turn', async () => {
    const told: string[] = [];
    const { group } = makeGroup({
      onChange: (consumer) => {
        told.push(consumer);
        if (told.length === 1) throw new Error('on purpose');
      },
    });
    const used = nonce();
    const [verdict] = await Promise.all([
      group.claim(used),
      group.run('add', (tx) => tx.consumers.add(shop)),
    ]);
    expect(verdict).toBe('claimed');
    expect(told).toEqual(['shop']);
    expect(await group.claim(used)).toBe('replayed');
    expect(told).toEqual(['shop', 'shop']);
    await group.claim(nonce());
    expect(told).toEqual(['shop', 'shop']);
  });
});

describe('a store that closes', () => {
  it('refuses what was asked for and not yet done, and raises nothing else', async () => {
    const { group, database } = makeGroup();
    const ends = Promise.allSettled([group.claim(nonce()), group.run('work', () => {})]);
    database.close();
    const refused = { status: 'rejected', reason: { code: 'store-unavailable' } };
    expect(await ends).toMatchObject([refused, refused]);
    await expect(group.claim(nonce())).rejects.toMatchObject(refused.reason);
    await expect(group.run('work', () => {})).rejects.toMatchObject(refused.reason);
  });

  it('in the midst of work refuses it and the rest of its turn', async () => {
    const { group, database } = makeGroup();
    const ends = Promise.allSettled([
      group.claim(nonce()),
      group.run('closing', (tx) => {
        database.close();
        tx.consumers.add(shop);
      }),
      group.run('after', () => {}),
    ]);
    const refused = { status: 'rejected', reason: { code: 'store-unavailable' } };
    expect(await ends).toMatchObject([refused, refused, refused]);
  });
});

describe('while another process holds the lock', () => {
  it('one turn waits for it, and the next ones fail at once; all is as before when it is free', async () => {
    const { group, database } = makeGroup();
    database.pragma('busy_timeout = 250');
    const other = openFile(database.name);
    onTestFinished(() => {
      other.close();
    });
    /** Milliseconds until a turn is refused. */
    const refused = async () => {
      const started = performance.now();
      await expect(group.claim(nonce())).rejects.toMatchObject({ code: 'store-unavailable' });
      return performance.now() - started;
    };
    for (let time = 0; time < 2; time++) {
      other.exec('BEGIN IMMEDIATE');
      expect(await refused()).toBeGreaterThan(200);
      const next = [await refused(), await refused(), await refused()];
      // A busy machine may be slow at any of them; who waits is slow at all.
      expect(Math.min(...next)).toBeLessThan(200);
      other.exec('COMMIT');
      expect(await group.claim(nonce())).toBe('claimed');
      expect(database.pragma('busy_timeout', { simple: true })).toBe(250);
    }
  });
});
