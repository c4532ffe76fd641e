/** A new master key: in force at once, for whoever opens the store next; safe against a kill at any point. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ChainLink } from '../../../src/audit/audit.ts';
import { verifyChain } from '../../../src/audit/chain.ts';
import { generateMasterKey } from '../../../src/consumers/master-key.ts';
import { addConsumer } from '../../../src/consumers/registration.ts';
import { AuditFile } from '../../../src/storage/sqlite/audit-file.ts';
import { databaseFile, openDatabase } from '../../../src/storage/sqlite/database.ts';
import { SqliteStore } from '../../../src/storage/sqlite/store.ts';
import { WrappedKeys } from '../../../src/storage/sqlite/wrapped-keys.ts';
import { dataFolder, filesOf } from '../data-folder.ts';
import { ManualClock } from '../manual-clock.ts';

const clock = new ManualClock();

function open(folder: string, masterKey?: string): SqliteStore {
  const store = new SqliteStore({ folder, clock, skew: 30, masterKey });
  onTestFinished(() => store.close());
  return store;
}

/** A folder with a consumer, and its secret. */
async function used(masterKey?: string): Promise<{ folder: string; secret: string }> {
  const folder = dataFolder();
  const store = open(folder, masterKey);
  const { secret } = await store.commitGroup.run('add', async (tx) => {
    await tx.audit.append({ actor: 'cli', action: 'consumer.add', subject: 'shop' });
    return addConsumer(tx.consumers, store.vault, { name: 'shop', roles: [] }, clock.seconds);
  });
  store.close();
  return { folder, secret };
}

function links(folder: string): ChainLink[] {
  const file = new AuditFile(folder);
  const found = [...file.audit.links()];
  file.close();
  return found;
}

/** Everything that was sealed opens, and the audit chain holds. */
function expectWhole(store: SqliteStore, folder: string, secret: string): void {
  const [key] = store.consumers.keysOf('shop');
  expect(store.vault.open('key', key?.keyid as string, key?.sealedSecret as Buffer).toString('base64')).toBe(
    secret,
  );
  expect(verifyChain(links(folder), store.auditKeys, [store.audit.head()]).fault).toBeUndefined();
}

const keyOf = (folder: string) => readFileSync(join(folder, 'master.key'), 'utf8');
const wrong = expect.objectContaining({ code: 'master-key-wrong' });

function wrappedRows(folder: string): Buffer[] {
  const database = new Sqlite(databaseFile(folder), { readonly: true });
  const rows = database.prepare('SELECT wrapped FROM data_keys UNION ALL SELECT wrapped FROM audit_keys');
  const wrapped = rows.pluck().all() as Buffer[];
  database.close();
  return wrapped;
}

describe('a new master key', () => {
  it('takes the place of the old one, which opens nothing any more', async () => {
    const { folder, secret } = await used();
    const old = keyOf(folder);
    const store = open(folder);
    await store.changeMasterKey(generateMasterKey(), 'cli');
    store.close();
    expect(keyOf(folder)).not.toBe(old);
    expect(statSync(join(folder, 'master.key')).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder).filter((name) => name.startsWith('master'))).toEqual(['master.key']);
    expectWhole(open(folder), folder, secret);
    expect(() => open(folder, old.trim())).toThrow(wrong);
  });

  it('is recorded, and leaves nothing of the old wrapping in any file', async () => {
    const { folder } = await used();
    const old = wrappedRows(folder);
    expect(old).toHaveLength(2);
    const store = open(folder);
    await store.changeMasterKey(generateMasterKey(), 'cli');
    expect([...store.audit.rows()].at(-1)).toMatchObject({ actor: 'cli', action: 'key.rekey' });
    const files = readdirSync(folder).map((name) => readFileSync(join(folder, name)));
    for (const wrapped of old) {
      // Not the version before it, which stays the same.
      expect(files.some((bytes) => bytes.includes(wrapped.subarray(20, 40)))).toBe(false);
    }
    expect(files.some((bytes) => bytes.includes((wrappedRows(folder)[0] as Buffer).subarray(20, 40)))).toBe(
      true,
    );
  });

  it('does not stop whoever has the store open', async () => {
    const { folder, secret } = await used();
    const running = open(folder);
    const other = open(folder);
    await other.changeMasterKey(generateMasterKey(), 'cli');
    await running.commitGroup.run('add', async (tx) => {
      await tx.audit.append({ actor: 'cli', action: 'consumer.add', subject: 'bank' });
      await addConsumer(tx.consumers, running.vault, { name: 'bank', roles: [] }, clock.seconds);
    });
    await running.changeMasterKey(generateMasterKey(), 'cli');
    const [key] = open(folder).consumers.keysOf('bank');
    expect(open(folder).vault.open('key', key?.keyid as string, key?.sealedSecret as Buffer)).toHaveLength(
      64,
    );
    expectWhole(open(folder), folder, secret);
  });

  it('is found by a start that had read the old one just before', async () => {
    const { folder } = await used();
    const old = Buffer.from(keyOf(folder), 'base64');
    await open(folder).changeMasterKey(generateMasterKey(), 'cli');
    const { writer, reader } = openDatabase(folder);
    expect(new WrappedKeys(writer, folder, undefined).open(old).dataKeys.size).toBe(1);
    expect(() => new WrappedKeys(writer, folder, old.toString('base64')).open(old)).toThrow(wrong);
    for (const database of [reader, writer]) database.close();
  });

  it('in the place of one from the environment touches no file', async () => {
    const [old, next] = [generateMasterKey(), generateMasterKey()];
    const { folder, secret } = await used(old.toString('base64'));
    const store = open(folder, old.toString('base64'));
    await store.changeMasterKey(next, 'cli');
    expect(readdirSync(folder).filter((name) => name.startsWith('master'))).toEqual([]);
    expectWhole(open(folder, next.toString('base64')), folder, secret);
    expect(() => open(folder, old.toString('base64'))).toThrow(wrong);
  });

  it('that is the old one is refused, and leaves no file', async () => {
    const { folder, secret } = await used();
    const same = Buffer.from(keyOf(folder), 'base64');
    await expect(open(folder).changeMasterKey(same, 'cli')).rejects.toMatchObject({
      code: 'master-key-wrong',
    });
    expect(existsSync(join(folder, 'master.key.next'))).toBe(false);
    expectWhole(open(folder), folder, secret);
  });

  it('of two changes at once: both happen, and the last one opens everything', async () => {
    const { folder, secret } = await used();
    const stores = [open(folder), open(folder)];
    for (let round = 0; round < 5; round++)
      await Promise.all(stores.map((store) => store.changeMasterKey(generateMasterKey(), 'cli')));
    expectWhole(open(folder), folder, secret);
    expect(existsSync(join(folder, 'master.key.next'))).toBe(false);
  });
});

describe('a process that is killed while it changes the master key', () => {
  function killAt(folder: string, step: string): void {
    const child = ['--import', 'tsx', join(import.meta.dirname, 'rekey-child.ts'), folder, step];
    const run = () => execFileSync(process.execPath, child, { stdio: 'pipe' });
    expect(run).toThrow(expect.objectContaining({ signal: 'SIGKILL' }));
  }

  it.each([
    ['written', 'old'],
    ['wrapped', 'old'],
    ['committed', 'new'],
  ] as const)(
    'when it has %s leaves the %s one in force, and the next change goes through',
    async (step, inForce) => {
      const { folder, secret } = await used();
      const old = keyOf(folder);
      killAt(folder, step);
      const waiting = readFileSync(join(folder, 'master.key.next'), 'utf8');
      expect(keyOf(folder)).toBe(old);
      const store = open(folder);
      expectWhole(store, folder, secret);
      expect(keyOf(folder)).toBe(inForce === 'old' ? old : waiting);
      await store.changeMasterKey(generateMasterKey(), 'cli');
      store.close();
      expectWhole(open(folder), folder, secret);
      expect(existsSync(join(folder, 'master.key.next'))).toBe(false);
      expect([old, waiting]).not.toContain(keyOf(folder));
    },
  );

  it('has its change finished by the first of two that are started at once', async () => {
    const { folder, secret } = await used();
    killAt(folder, 'committed');
    const [one, two] = [open(folder), open(folder)];
    expectWhole(one, folder, secret);
    expectWhole(two, folder, secret);
  });
});

describe('a start with a master key that is not the right one', () => {
  it('stops and changes nothing, also where a waiting key is not the right one either', async () => {
    const { folder } = await used();
    for (const name of ['master.key', 'master.key.next']) {
      writeFileSync(join(folder, name), `${generateMasterKey().toString('base64')}\n`);
      chmodSync(join(folder, name), 0o600);
      const before = filesOf(folder);
      expect(() => open(folder)).toThrow(wrong);
      expect(filesOf(folder)).toEqual(before);
    }
  });

  it('stops where the audit keys alone are wrapped by another', async () => {
    const [{ folder }, { folder: foreign }] = [await used(), await used()];
    const database = new Sqlite(databaseFile(folder));
    database.prepare('ATTACH ? AS foreign_one').run(databaseFile(foreign));
    database.exec('UPDATE audit_keys SET wrapped = (SELECT wrapped FROM foreign_one.audit_keys)');
    database.close();
    const before = filesOf(folder);
    expect(() => open(folder)).toThrow(wrong);
    expect(filesOf(folder)).toEqual(before);
  });

  it('stops where it is missing, whatever waits beside it', async () => {
    const { folder } = await used();
    renameSync(join(folder, 'master.key'), join(folder, 'master.key.next'));
    const before = filesOf(folder);
    expect(() => open(folder)).toThrow(expect.objectContaining({ code: 'master-key-missing' }));
    expect(filesOf(folder)).toEqual(before);
  });
});
