/** What the first start makes, what later ones refuse, and that none overwrites anything. */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { addConsumer } from '../../../src/consumers/registration.ts';
import { databaseFile, openFailure } from '../../../src/storage/sqlite/database.ts';
import { migrations } from '../../../src/storage/sqlite/migrations.ts';
import { SqliteStore } from '../../../src/storage/sqlite/store.ts';
import { dataFolder, filesOf } from '../data-folder.ts';
import { ManualClock } from '../manual-clock.ts';

const clock = new ManualClock();

function open(folder: string, masterKey?: string): SqliteStore {
  const store = new SqliteStore({ folder, clock, skew: 30, masterKey });
  onTestFinished(() => store.close());
  return store;
}

/** A folder that was used and closed, with a consumer in it. */
async function used(): Promise<string> {
  const folder = dataFolder();
  const store = open(folder);
  await store.commitGroup.run('add', ({ consumers }) =>
    addConsumer(consumers, store.vault, { name: 'shop', roles: ['orders'] }, clock.seconds),
  );
  await store.nonces.claim({ keyid: 'shop.1', value: 'x'.repeat(22), created: 1, expires: clock.seconds });
  store.close();
  return folder;
}

/** Changes the database behind the program's back. */
function alter(folder: string, sql: string): void {
  const database = new Sqlite(databaseFile(folder));
  database.exec(sql);
  database.close();
}

function modeOf(path: string): number {
  return statSync(path).mode & 0o777;
}

describe('the first start', () => {
  it.each([0o000, 0o022, 0o077])('makes everything for its owner alone, under umask %o', async (mask) => {
    const folder = dataFolder();
    const before = process.umask(mask);
    onTestFinished(() => {
      process.umask(before);
    });
    const store = open(folder);
    await store.nonces.claim({ keyid: 'shop.1', value: 'x', created: 1, expires: clock.seconds });
    expect(modeOf(folder)).toBe(0o700);
    const files = readdirSync(folder).sort();
    expect(files).toEqual(['countersign.db', 'countersign.db-shm', 'countersign.db-wal', 'master.key']);
    for (const file of files) expect([file, modeOf(join(folder, file))]).toEqual([file, 0o600]);
  });

  it('makes the folders above its own for their owner alone too', () => {
    const folder = dataFolder();
    open(join(folder, 'deep', 'er'));
    expect([folder, join(folder, 'deep'), join(folder, 'deep', 'er')].map(modeOf)).toEqual([
      0o700, 0o700, 0o700,
    ]);
  });

  it('leaves a database in WAL mode, of the newest schema', () => {
    const folder = dataFolder();
    open(folder);
    const database = new Sqlite(databaseFile(folder), { readonly: true });
    expect(database.pragma('journal_mode', { simple: true })).toBe('wal');
    expect(database.pragma('user_version', { simple: true })).toBe(migrations.length);
    expect(database.pragma('integrity_check', { simple: true })).toBe('ok');
    database.close();
  });

  it('goes on where another was killed before it had made the schema', () => {
    const folder = dataFolder();
    open(folder).close();
    writeFileSync(databaseFile(folder), '');
    expect(open(folder).consumers.list()).toEqual([]);
  });

  it('in a folder that others may enter makes files that they can not read', () => {
    const folder = dataFolder();
    mkdirSync(folder, { mode: 0o755 });
    chmodSync(folder, 0o755);
    open(folder);
    for (const file of readdirSync(folder)) expect(modeOf(join(folder, file))).toBe(0o600);
  });

  it('where the folder is a file says so', () => {
    const folder = dataFolder();
    writeFileSync(folder, 'a file');
    expect(() => open(folder)).toThrow();
    expect(readFileSync(folder, 'utf8')).toBe('a file');
  });
});

describe('a later start', () => {
  it('changes neither the master key nor what is stored', async () => {
    const folder = await used();
    const key = readFileSync(join(folder, 'master.key'));
    const store = open(folder);
    expect(readFileSync(join(folder, 'master.key'))).toEqual(key);
    expect(store.consumers.list()).toMatchObject([{ name: 'shop' }]);
    const [kept] = store.consumers.keysOf('shop');
    expect(store.vault.open('key', kept?.keyid as string, kept?.sealedSecret as Buffer)).toHaveLength(64);
  });

  it('refuses a schema that a newer version made, and changes nothing', async () => {
    const folder = await used();
    alter(folder, `PRAGMA user_version = ${migrations.length + 1}; CREATE TABLE future (x)`);
    const before = filesOf(folder);
    expect(() => open(folder)).toThrow(expect.objectContaining({ code: 'store-newer' }));
    expect(filesOf(folder)).toEqual(before);
  });

  it('refuses one that a newer version keeps in another way, and changes nothing', async () => {
    const folder = await used();
    alter(folder, `PRAGMA user_version = ${migrations.length + 1}; PRAGMA journal_mode = DELETE`);
    const before = filesOf(folder);
    expect(() => open(folder)).toThrow(expect.objectContaining({ code: 'store-newer' }));
    expect(filesOf(folder)).toEqual(before);
  });

  it('without the master key stops, and makes none', async () => {
    const folder = await used();
    renameSync(join(folder, 'master.key'), join(folder, 'elsewhere'));
    const before = filesOf(folder);
    expect(() => open(folder)).toThrow(expect.objectContaining({ code: 'master-key-missing' }));
    expect(filesOf(folder)).toEqual(before);
    renameSync(join(folder, 'elsewhere'), join(folder, 'master.key'));
    expect(open(folder).consumers.list()).toHaveLength(1);
  });

  it.each(['file', 'environment'])(
    'with another master key, from the %s, stops and changes nothing',
    async (from) => {
      const folder = await used();
      const key = readFileSync(join(folder, 'master.key'), 'utf8');
      const other = Buffer.alloc(32, 9).toString('base64');
      if (from === 'file') writeFileSync(join(folder, 'master.key'), other);
      const before = filesOf(folder);
      expect(() => open(folder, from === 'file' ? undefined : other)).toThrow(
        expect.objectContaining({ code: 'master-key-wrong' }),
      );
      expect(filesOf(folder)).toEqual(before);
      writeFileSync(join(folder, 'master.key'), key);
      expect(open(folder).consumers.list()).toHaveLength(1);
    },
  );

  it('takes the master key from the environment, and needs no file then', async () => {
    const folder = await used();
    const key = readFileSync(join(folder, 'master.key'), 'utf8').trim();
    renameSync(join(folder, 'master.key'), join(folder, 'elsewhere'));
    expect(open(folder, key).consumers.list()).toHaveLength(1);
    expect(existsSync(join(folder, 'master.key'))).toBe(false);
  });

  it.each([
    ['text', Buffer.from('This is no database, but it is somebody’s file.\n'.repeat(100))],
    ['random bytes', Buffer.from(Array.from({ length: 8192 }, (_, i) => (i * 7919) % 251))],
  ])('refuses a file that is no database (%s), and leaves it as it was', (_what, bytes) => {
    const folder = dataFolder();
    open(folder).close();
    writeFileSync(databaseFile(folder), bytes);
    const before = filesOf(folder);
    expect(() => open(folder)).toThrow(expect.objectContaining({ code: 'store-failed' }));
    expect(filesOf(folder)).toEqual(before);
  });

  it('says what to do where SQLite was not compiled', () => {
    const error = new Error('Could not locate the bindings file. Tried:\n → /somewhere/better_sqlite3.node');
    const { code, message } = openFailure('data', error);
    expect(code).toBe('store-failed');
    expect(message).toMatch(/npm rebuild better-sqlite3/);
    expect(message).not.toContain('/somewhere');
  });

  it('finds everything again in a copy of the folder', async () => {
    const [folder, copy] = [await used(), dataFolder()];
    mkdirSync(copy);
    for (const file of readdirSync(folder)) copyFileSync(join(folder, file), join(copy, file));
    expect(open(copy).consumers.list()).toHaveLength(1);
  });
});

describe('at rest', () => {
  it('no secret lies in clear, in any file of the folder, in any form', async () => {
    const folder = dataFolder();
    const store = open(folder);
    const issued = await store.commitGroup.run('add', ({ consumers }) =>
      addConsumer(consumers, store.vault, { name: 'shop', roles: [] }, clock.seconds),
    );
    const secret = Buffer.from(issued.secret, 'base64');
    const master = Buffer.from(readFileSync(join(folder, 'master.key'), 'utf8'), 'base64');
    const lookFor = (bytes: Buffer) =>
      readdirSync(folder)
        .filter((file) => file !== 'master.key')
        .filter((file) => {
          const content = readFileSync(join(folder, file));
          const text = content.toString('latin1').toLowerCase();
          return (
            content.includes(bytes.subarray(0, 12)) ||
            content.includes(bytes.subarray(20, 32)) ||
            text.includes(bytes.subarray(0, 12).toString('base64').toLowerCase()) ||
            text.includes(bytes.subarray(0, 12).toString('hex'))
          );
        });
    const sealed = store.consumers.keysOf('shop')[0]?.sealedSecret as Buffer;
    for (const moment of ['in the journal', 'in the database']) {
      expect([moment, lookFor(secret), lookFor(master)]).toEqual([moment, [], []]);
      expect(lookFor(sealed), 'the search finds what is there').toHaveLength(1);
      store.close();
    }
  });
});
