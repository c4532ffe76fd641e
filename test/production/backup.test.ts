/**
 * Backups: whole and consistent beside writers, for their owner alone, and restored in one step or not at all.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { epochSeconds } from '../../src/clock.ts';
import { addConsumer } from '../../src/consumers/registration.ts';
import { type BackupOptions, backUp } from '../../src/storage/sqlite/backup.ts';
import { type RestoreOptions, restore } from '../../src/storage/sqlite/restore.ts';
import { SqliteStore } from '../../src/storage/sqlite/store.ts';
import { dataFolder, filesOf } from '../storage/data-folder.ts';
import { ManualClock } from '../storage/manual-clock.ts';

const clock = new ManualClock();
const SKEW = 30;

function open(folder: string, masterKey?: string): SqliteStore {
  const store = new SqliteStore({
    folder,
    clock,
    skew: SKEW,
    masterKey,
    lockWaitMs: 100,
    bootId: () => 'boot',
  });
  onTestFinished(() => store.close());
  return store;
}

async function add(store: SqliteStore, name: string): Promise<string> {
  const { keyid } = await store.commitGroup.run('add a consumer', (tx) =>
    addConsumer(tx.consumers, store.vault, { name, roles: ['orders'] }, epochSeconds(clock)),
  );
  return keyid;
}

const names = (store: SqliteStore) => store.consumers.list().map(({ name }) => name);
const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);
const make = (folder: string, target: string, more: Partial<BackupOptions> = {}) =>
  backUp({ folder, target, now: clock.now(), ...more });
const putBack = (source: string, folder: string, more: Partial<RestoreOptions> = {}) =>
  restore({ source, folder, force: false, givenKey: undefined, now: clock.now(), ...more });

type Found = NonNullable<ReturnType<SqliteStore['consumers']['findKey']>>;

const nonce = (keyid: string) => ({
  keyid,
  value: 'nonce-00000000000000000001',
  created: clock.seconds,
  expires: clock.seconds + 60,
});

/** Overwrites the middle of a database. */
function damage(file: string): void {
  const descriptor = openSync(file, 'r+');
  writeSync(descriptor, Buffer.alloc(8192, 0xff), 0, 8192, 4096);
  closeSync(descriptor);
}

function change(folder: string, sql: string): void {
  const database = new Sqlite(join(folder, 'countersign.db'));
  database.exec(sql);
  database.close();
}

interface Scene {
  /** A stopped data folder with one consumer. */
  readonly folder: string;
  /** A backup of it. */
  readonly target: string;
}

const asItIs = () => {};

async function backedUp(): Promise<Scene> {
  const folder = dataFolder();
  const store = open(folder);
  await add(store, 'shop');
  store.close();
  const target = dataFolder();
  await make(folder, target);
  return { folder, target };
}

describe('a backup', () => {
  it('holds what was committed when it began, while a gateway goes on to write', async () => {
    const folder = dataFolder();
    const store = open(folder);
    await add(store, 'before');
    // Enough for several steps of the copy.
    const ballast = new Sqlite(join(folder, 'countersign.db'));
    onTestFinished(() => void ballast.close());
    ballast.exec('CREATE TABLE ballast (x BLOB)');
    ballast.prepare('INSERT INTO ballast VALUES (?)').run(randomBytes(12 * 1024 * 1024));
    const target = dataFolder();
    const steps: number[] = [];
    const late: Promise<string>[] = [];
    await make(folder, target, {
      onProgress(done, total) {
        steps.push(done / total);
        late.push(add(store, `late-${steps.length}`));
      },
    });
    await Promise.all(late);
    expect(steps.length).toBeGreaterThan(2);
    expect(steps).toEqual(steps.toSorted((a, b) => a - b));
    expect(names(store)).toHaveLength(1 + steps.length);
    const restored = dataFolder();
    await putBack(target, restored, { givenKey: readFileSync(join(folder, 'master.key'), 'utf8').trim() });
    copyFileSync(join(folder, 'master.key'), join(restored, 'master.key'));
    expect(names(open(restored))).toEqual(['before']);
  });

  it('holds the database and the mark alone, for their owner, and leaves the data folder as it was', async () => {
    const folder = dataFolder();
    open(folder).close();
    writeFileSync(join(folder, 'demo.json'), '{}', { mode: 0o600 });
    const before = filesOf(folder);
    const target = dataFolder();
    await make(folder, target);
    expect(readdirSync(target).sort()).toEqual(['countersign.db', 'restored']);
    expect(readFileSync(join(target, 'restored'), 'utf8')).toBe('2027-01-15T08:00:00.000Z\n');
    expect([target, join(target, 'countersign.db'), join(target, 'restored')].map(modeOf)).toEqual([
      '700',
      '600',
      '600',
    ]);
    expect(filesOf(folder)).toEqual(before);
  });

  it('holds the master key where it is asked for, and only the one that opens it', async () => {
    const folder = dataFolder();
    open(folder).close();
    const key = Buffer.from(readFileSync(join(folder, 'master.key'), 'utf8'), 'base64');
    const target = dataFolder();
    await make(folder, target, { masterKey: key });
    expect(readFileSync(join(target, 'master.key'))).toEqual(readFileSync(join(folder, 'master.key')));
    expect(modeOf(join(target, 'master.key'))).toBe('600');
    const other = dataFolder();
    await expect(make(folder, other, { masterKey: randomBytes(32) })).rejects.toMatchObject({
      code: 'master-key-wrong',
    });
    expect(existsSync(other)).toBe(false);
  });

  it('fills an empty folder, and closes it to others', async () => {
    const { folder } = await backedUp();
    const target = dataFolder();
    mkdirSync(target, { mode: 0o755 });
    await make(folder, target);
    expect(modeOf(target)).toBe('700');
  });

  it.each([
    [
      'a folder that holds something',
      (target: string) => mkdirSync(join(target, 'tea'), { recursive: true }),
    ],
    ['a file', (target: string) => writeFileSync(target, 'tea')],
  ])('refuses %s, and leaves it alone', async (_what, prepare) => {
    const { folder } = await backedUp();
    const target = dataFolder();
    prepare(target);
    await expect(make(folder, target)).rejects.toMatchObject({ code: 'folder-not-empty' });
    if (statSync(target).isDirectory()) expect(readdirSync(target)).toEqual(['tea']);
    else expect(readFileSync(target, 'utf8')).toBe('tea');
  });

  it('refuses to lie in the data folder, also by way of a link, and where there is no database', async () => {
    const { folder } = await backedUp();
    const before = readdirSync(folder);
    const link = dataFolder();
    symlinkSync(folder, link);
    for (const target of [join(folder, 'backup'), join(folder, 'a', 'b'), join(link, 'backup')]) {
      await expect(make(folder, target)).rejects.toMatchObject({ code: 'folder-not-empty' });
    }
    expect(readdirSync(folder)).toEqual(before);
    await expect(make(dataFolder(), dataFolder())).rejects.toMatchObject({ code: 'store-failed' });
  });

  it('is not made of a damaged database, and nothing is left of the attempt', async () => {
    const { folder } = await backedUp();
    damage(join(folder, 'countersign.db'));
    const target = dataFolder();
    await expect(make(folder, target)).rejects.toThrow();
    expect(existsSync(target)).toBe(false);
  });
});

describe('a restore', () => {
  it('brings back what was backed up, and the first start raises the fence', async () => {
    const folder = dataFolder();
    const store = open(folder);
    const keyid = await add(store, 'shop');
    const target = dataFolder();
    await make(folder, target);
    const used = nonce(keyid);
    expect(await store.nonces.claim(used)).toBe('claimed');
    await add(store, 'later');
    store.close();
    const done = await putBack(target, folder, { force: true });
    expect(done).toMatchObject({ madeAt: '2027-01-15T08:00:00.000Z', masterKey: 'folder' });
    const again = open(folder);
    expect(names(again)).toEqual(['shop']);
    expect(
      again.vault.open('key', keyid, (again.consumers.findKey(keyid) as Found).key.sealedSecret),
    ).toHaveLength(64);
    expect(again.fence).toBe(clock.seconds + SKEW);
    expect(await again.nonces.claim(used)).toBe('expired');
    again.close();
    // The mark has done its work.
    expect(existsSync(join(folder, 'restored'))).toBe(false);
    expect(readdirSync(folder).filter((name) => !/^(countersign\.db|master\.key)$/.test(name))).toEqual([]);
  });

  it('fills a folder that is not there yet, and brings the master key that the backup holds', async () => {
    const folder = dataFolder();
    await add(open(folder), 'shop');
    const target = dataFolder();
    const masterKey = Buffer.from(readFileSync(join(folder, 'master.key'), 'utf8'), 'base64');
    await make(folder, target, { masterKey });
    const elsewhere = dataFolder();
    expect(await putBack(target, elsewhere)).toMatchObject({ masterKey: 'backup', replacedKey: undefined });
    expect(
      ['.', 'countersign.db', 'master.key', 'restored'].map((name) => modeOf(join(elsewhere, name))),
    ).toEqual(['700', '600', '600', '600']);
    expect(names(open(elsewhere))).toEqual(['shop']);
  });

  it('says that there is no master key yet', async () => {
    const { target } = await backedUp();
    expect(await putBack(target, dataFolder())).toMatchObject({ masterKey: undefined });
  });

  it('keeps another master key that stood in its place', async () => {
    const { folder, target: bare } = await backedUp();
    const key = readFileSync(join(folder, 'master.key'));
    copyFileSync(join(folder, 'master.key'), join(bare, 'master.key'));
    const other = dataFolder();
    const store = open(other);
    await add(store, 'other');
    store.close();
    const before = readFileSync(join(other, 'master.key'));
    // Of a change of the master key that was cut off.
    const waiting = `${randomBytes(32).toString('base64')}\n`;
    writeFileSync(join(other, 'master.key.next'), waiting, { mode: 0o600 });
    const { replacedKey } = await putBack(bare, other, { force: true });
    expect(readFileSync(replacedKey as string)).toEqual(before);
    expect(readFileSync(`${replacedKey}.next`, 'utf8')).toBe(waiting);
    expect(existsSync(join(other, 'master.key.next'))).toBe(false);
    expect(readFileSync(join(other, 'master.key'))).toEqual(key);
    expect(names(open(other))).toEqual(['shop']);
  });

  it.each([
    ['before', 'prepared', 'other'],
    ['after', 'replaced', 'shop'],
  ])(
    'that is cut off just %s the database takes its place leaves a folder that opens',
    async (_when, at, kept) => {
      const { folder, target } = await backedUp();
      copyFileSync(join(folder, 'master.key'), join(target, 'master.key'));
      const other = dataFolder();
      const store = open(other);
      await add(store, 'other');
      store.close();
      const cut = putBack(target, other, {
        force: true,
        onStep(step) {
          if (step === at) throw new Error('cut off');
        },
      });
      await expect(cut).rejects.toThrow('cut off');
      const again = open(other);
      expect(names(again)).toEqual([kept]);
      expect(again.fence).toBe(clock.seconds + SKEW);
    },
  );

  it.each([
    ['of a gateway that was killed', () => {}],
    [
      'beside a database that is too damaged to be opened',
      (file: string) => writeFileSync(file, 'tea '.repeat(25_000)),
    ],
  ])('is not played over by the journal %s', async (_what, spoil) => {
    const { folder, target } = await backedUp();
    const killed = dataFolder();
    const store = open(killed);
    await add(store, 'ghost');
    const remains = dataFolder();
    mkdirSync(remains, { mode: 0o700 });
    for (const name of readdirSync(killed)) copyFileSync(join(killed, name), join(remains, name));
    expect(statSync(join(remains, 'countersign.db-wal')).size).toBeGreaterThan(0);
    spoil(join(remains, 'countersign.db'));
    copyFileSync(join(folder, 'master.key'), join(remains, 'master.key'));
    await putBack(target, remains, { force: true });
    expect(names(open(remains))).toEqual(['shop']);
  });

  it('does not let a start that came in between write into the file that is gone', async () => {
    const { folder, target } = await backedUp();
    const old = new Sqlite(join(folder, 'countersign.db'));
    onTestFinished(() => void old.close());
    // Opened, and without a lock yet.
    await putBack(target, folder, { force: true });
    expect(old.pragma('user_version', { simple: true })).toBeGreaterThan(1_000_000);
    expect(names(open(folder))).toEqual(['shop']);
  });

  describe('changes nothing where', () => {
    it.each<[string, string, (scene: Scene) => unknown, ((scene: Scene) => Partial<RestoreOptions>)?]>([
      ['there is a database, and no --force', 'folder-not-empty', asItIs, () => ({ force: false })],
      ['a gateway has the database open', 'store-in-use', ({ folder }) => open(folder)],
      ['the backup is damaged', 'backup-invalid', ({ target }) => damage(join(target, 'countersign.db'))],
      [
        'the backup is cut short',
        'backup-invalid',
        ({ target }) => {
          const file = join(target, 'countersign.db');
          writeFileSync(file, readFileSync(file).subarray(0, 20_000));
        },
      ],
      [
        'the backup is no database',
        'backup-invalid',
        ({ target }) => writeFileSync(join(target, 'countersign.db'), 'tea '.repeat(5000)),
      ],
      [
        'the backup is the database of another program',
        'backup-invalid',
        ({ target }) => change(target, 'DROP TABLE meta'),
      ],
      [
        'the backup is empty',
        'backup-invalid',
        ({ target }) => writeFileSync(join(target, 'countersign.db'), ''),
      ],
      [
        'a newer version made the backup',
        'store-newer',
        ({ target }) => change(target, 'PRAGMA user_version = 99'),
      ],
      ['the folder is no backup', 'backup-invalid', asItIs, () => ({ source: dataFolder() })],
      ['the backup is the data folder', 'backup-invalid', asItIs, ({ folder }) => ({ source: folder })],
      [
        'the master key is another',
        'master-key-wrong',
        asItIs,
        () => ({ givenKey: randomBytes(32).toString('base64') }),
      ],
    ])('%s', async (_what, code, spoil, choose) => {
      const scene = await backedUp();
      const store = open(scene.folder);
      await add(store, 'later');
      store.close();
      const files = () => Object.keys(filesOf(scene.folder)).filter((name) => !/-(wal|shm)$/.test(name));
      const before = files();
      spoil(scene);
      const options = choose?.(scene) ?? {};
      const { source = scene.target } = options;
      await expect(putBack(source, scene.folder, { force: true, ...options })).rejects.toMatchObject({
        code,
      });
      expect(files()).toEqual(before);
      expect(names(open(scene.folder))).toEqual(['later', 'shop']);
    });
  });
});
