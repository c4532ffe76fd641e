/** What SQLite keeps of people, and what is left in its files once they are erased. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { databaseFile } from '../../../src/storage/sqlite/database.ts';
import { RESTORED_MARK, SqliteStore } from '../../../src/storage/sqlite/store.ts';
import { dataFolder } from '../data-folder.ts';
import { ManualClock } from '../manual-clock.ts';

const NOW = 1_800_000_000;

function open(folder = dataFolder()) {
  const clock = new ManualClock(NOW);
  const store = new SqliteStore({ folder, clock, skew: 30, masterKey: undefined });
  onTestFinished(() => store.close());
  return { folder, store, clock };
}

/** All that lies in the folder, in one string of bytes. */
function bytesOf(folder: string): string {
  return readdirSync(folder)
    .map((name) => readFileSync(join(folder, name), 'latin1'))
    .join('')
    .toLowerCase();
}

/** With an id that is the same in every run, since the pages of the file depend on it. */
const person = (email: string) => ({
  id: createHash('sha256').update(email).digest('hex').slice(0, 24),
  firstName: 'Firstborough',
  lastName: 'Lastington',
  email,
  passwordHash: '$argon2id$v=19$verifier',
  roles: [],
  createdAt: NOW,
});

describe('the files of a store', () => {
  it('never tell a name, an address or a password hash', async () => {
    const { folder, store } = open();
    const ada = person('Ada.L@Example.com');
    await store.commitGroup.run('add', (tx) => tx.accounts.add(ada));
    await store.commitGroup.run('change', (tx) => tx.accounts.update(ada.id, { firstName: 'Augusta' }));
    const bytes = bytesOf(folder);
    expect(bytes).toContain(ada.id);
    for (const word of ['ada.l@', 'example.com', 'firstborough', 'augusta', 'lastington', 'argon2id']) {
      expect(bytes).not.toContain(word);
    }
  });

  it('hold nothing of an account that was erased, the id neither, and the journal is empty', async () => {
    const { folder, store } = open();
    const people = Array.from({ length: 200 }, (_, n) => person(`person-${n}@example.com`));
    for (const each of people) await store.commitGroup.run('add', (tx) => tx.accounts.add(each));
    const erased = people[100] as (typeof people)[number];
    await store.commitGroup.run('remove', (tx) => tx.accounts.remove(erased.id));
    expect(bytesOf(folder)).toContain(erased.id);
    expect(await store.truncateJournal()).toBe(true);
    expect(readFileSync(`${databaseFile(folder)}-wal`)).toHaveLength(0);
    expect(bytesOf(folder)).not.toContain(erased.id);
  });

  it('can be emptied while work is under way', async () => {
    const { folder, store } = open();
    let truncated: Promise<boolean> | undefined;
    await store.commitGroup.run('add', async (tx) => {
      await tx.accounts.add(person('a@example.com'));
      truncated = store.truncateJournal();
      await tx.accounts.add(person('b@example.com'));
    });
    expect(await truncated).toBe(true);
    expect(await store.accounts.list()).toHaveLength(2);
    expect(readFileSync(`${databaseFile(folder)}-wal`)).toHaveLength(0);
  });

  it('are emptied by the next purge where a reader is in the way', async () => {
    const { folder, store } = open();
    const reader = new Sqlite(databaseFile(folder), { readonly: true });
    onTestFinished(() => void reader.close());
    reader.exec('BEGIN; SELECT * FROM accounts');
    await store.commitGroup.run('add', (tx) => tx.accounts.add(person('a@example.com')));
    expect(await store.truncateJournal()).toBe(false);
    reader.exec('COMMIT');
    await store.purge();
    expect(readFileSync(`${databaseFile(folder)}-wal`)).toHaveLength(0);
  });
});

describe('a purge', () => {
  it('empties the answers of refresh tokens that nobody gets any more, and keeps the tokens', async () => {
    const { store, clock } = open();
    const ada = person('a@example.com');
    const hashes = [1, 2, 3].map((n) => Buffer.alloc(32, n)) as [Buffer, Buffer, Buffer];
    const answer = { askedBy: Buffer.from([1]), sealedAnswer: Buffer.from('sealed') };
    await store.commitGroup.run('add', async ({ accounts }) => {
      await accounts.add(ada);
      const shared = { family: 'a', account: ada.id, generation: 0, expiresAt: NOW + 3600 };
      for (const hash of hashes) await accounts.refreshTokens.add({ hash, ...shared });
      await accounts.refreshTokens.use(hashes[0], NOW, answer);
      await accounts.refreshTokens.use(hashes[1], NOW + 1, answer);
    });
    const answers = async () => {
      const found = await store.accounts.refreshTokens.of(ada.id);
      return found.map(({ usedAt, sealedAnswer }) => [usedAt, sealedAnswer?.toString()]);
    };
    clock.seconds = NOW + 30;
    await store.purge();
    const whole = [
      [NOW, 'sealed'],
      [NOW + 1, 'sealed'],
      [undefined, undefined],
    ];
    expect(await answers()).toEqual(whole);
    clock.seconds = NOW + 31;
    await store.purge();
    expect(await answers()).toEqual([[NOW, undefined], ...whole.slice(1)]);
    clock.seconds = NOW + 32;
    await store.purge();
    expect(await answers()).toEqual([
      [NOW, undefined],
      [NOW + 1, undefined],
      [undefined, undefined],
    ]);
  });
});

describe('a folder out of a backup', () => {
  it('lets nobody in by what was ended or used since, and a plain restart keeps everybody', async () => {
    const { folder, store } = open();
    const { id } = person('ada@example.com');
    const hash = Buffer.alloc(32, 1);
    await store.commitGroup.run('log in', async ({ accounts }) => {
      await accounts.add(person('ada@example.com'));
      await accounts.putSecondFactor({ account: id, sealedSecret: hash, confirmedAt: NOW, lastStep: 5 });
      const login = { hash, account: id, generation: 0, expiresAt: NOW + 1000 };
      await accounts.refreshTokens.add({ ...login, family: 'family' });
      await accounts.sessions.add({ ...login, createdAt: NOW });
    });
    store.close();
    const kept = async ({ accounts }: SqliteStore) => ({
      generation: (await accounts.find(id))?.generation,
      lastStep: (await accounts.secondFactor(id))?.lastStep,
      tokens: await accounts.refreshTokens.of(id),
      sessions: await accounts.sessions.of(id),
    });
    const restarted = open(folder).store;
    expect(await kept(restarted)).toMatchObject({ generation: 0, lastStep: 5, tokens: [{}], sessions: [{}] });
    restarted.close();
    writeFileSync(join(folder, RESTORED_MARK), '');
    const ended = { generation: NOW, lastStep: NOW / 30, tokens: [], sessions: [] };
    expect(await kept(open(folder).store)).toEqual(ended);
  });
});
