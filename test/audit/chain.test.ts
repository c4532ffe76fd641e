/** The chain of the audit record: what somebody who can write the file may do, and how it is found. */
import Sqlite from 'better-sqlite3';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { linkContent, linkMac, verifyChain } from '../../src/audit/chain.ts';
import { loadMasterKey } from '../../src/consumers/master-key.ts';
import { SqliteAuditReader } from '../../src/storage/sqlite/audit.ts';
import { AuditFile } from '../../src/storage/sqlite/audit-file.ts';
import { databaseFile } from '../../src/storage/sqlite/database.ts';
import { SqliteStore } from '../../src/storage/sqlite/store.ts';
import { filesOf } from '../storage/data-folder.ts';
import { ManualClock } from '../storage/manual-clock.ts';
import { attack, makeRecord, someEvents, verify } from './record.ts';

const ROWS = 40;
const TEXT = ['actor', 'action', 'subject', 'detail', 'keyid', 'request_id'];
const NUMBERS = ['at', 'key_version'];

async function wholeRecord(rows = ROWS) {
  const record = makeRecord();
  await record.append(someEvents(rows));
  const head = record.head();
  record.close();
  return { ...record, head };
}

describe('a record that nobody touched', () => {
  it.each([0, 1, ROWS, 1203])('of %i rows is whole, and goes through its heads', async (rows) => {
    const { folder, head } = await wholeRecord(rows);
    expect(head.seq).toBe(rows);
    expect(verify(folder, [head, head])).toEqual({ rows, head });
  });

  it('is read without making a file or changing one', async () => {
    const { folder } = await wholeRecord(3);
    const before = filesOf(folder);
    expect(verify(folder).rows).toBe(3);
    expect(filesOf(folder)).toEqual(before);
  });

  it('is whole while it is written', async () => {
    const record = makeRecord();
    await record.append(someEvents(3));
    const early = record.head();
    await record.append(someEvents(3));
    expect(verify(record.folder, [early, record.head()])).toEqual({ rows: 6, head: record.head() });
  });

  it('goes on whole after a restart', async () => {
    const { folder } = await wholeRecord(3);
    const again = makeRecord(folder);
    await again.append(someEvents(2));
    expect(verify(folder)).toEqual({ rows: 5, head: again.head() });
  });
});

describe('one changed byte', () => {
  it('anywhere in any column of any row is found, and the row is named', async () => {
    const { folder } = await wholeRecord();
    const file = new AuditFile(folder);
    const keys = file.keys(loadMasterKey({ folder, given: undefined, databaseExists: true }));
    file.close();
    const database = new Sqlite(databaseFile(folder));
    const reader = new SqliteAuditReader(database);
    const cell = (column: string, seq: number) =>
      database
        .prepare(`SELECT CAST(${column} AS BLOB) FROM audit WHERE seq = ?`)
        .pluck()
        .get(seq) as Buffer | null;
    let tried = 0;
    /** Changes the cell, looks, and takes the change back. */
    const firstFault = (set: string, seq: number, value: unknown) => {
      database.exec('BEGIN');
      const { changes } = database.prepare(`UPDATE audit SET ${set} WHERE seq = ?`).run(value, seq);
      const { fault } = verifyChain(reader.links(), keys);
      database.exec('ROLLBACK');
      tried += changes;
      return fault?.seq;
    };
    const flip = fc.integer({ min: 1, max: 255 });
    for (let seq = 1; seq <= ROWS; seq++) {
      for (const column of [...TEXT, 'mac']) {
        const bytes = cell(column, seq) ?? Buffer.alloc(0);
        const set = column === 'mac' ? 'mac = ?' : `${column} = CAST(? AS TEXT)`;
        fc.sample(flip, bytes.length).forEach((mask, i) => {
          const changed = Buffer.from(bytes);
          changed[i] = (changed[i] as number) ^ mask;
          expect([column, i, mask, firstFault(set, seq, changed)]).toEqual([column, i, mask, seq]);
        });
      }
      for (const column of NUMBERS) {
        const value = Number(cell(column, seq)?.toString());
        for (let bit = 0; bit < 48; bit += 8) {
          const mask = BigInt((fc.sample(flip, 1) as [number])[0]) << BigInt(bit);
          expect(firstFault(`${column} = ?`, seq, BigInt(value) ^ mask)).toBe(seq);
        }
      }
    }
    expect(verifyChain(reader.links(), keys).fault).toBeUndefined();
    expect(tried).toBeGreaterThan(3000);
    database.close();
  });

  it.each([
    [
      'a replacement character for a byte that is no UTF-8, which reads alike',
      `subject = CAST(x'ff' AS TEXT)`,
    ],
    ['nothing for an empty text', 'detail = NULL'],
    ['an empty text for nothing', `keyid = ''`],
    ['text for bytes', 'mac = mac'],
    ['a number with a fraction of zero', 'at = at * 1.0'],
    ['a number as text', `key_version = '1'`],
  ])('is found where it is %s', async (_what, change) => {
    const record = makeRecord();
    await record.append([{ actor: 'a', action: 'b.c', subject: '\ufffd', detail: {} }]);
    record.close();
    attack(record.folder, (database) => {
      // Only the types of the schema stand in the way of an attacker with a hex editor.
      database.unsafeMode();
      database.pragma('writable_schema = ON');
      database.exec(
        `UPDATE sqlite_schema SET sql = replace(replace(replace(sql, 'at INTEGER', 'at ANY'),
         'key_version INTEGER', 'key_version ANY'), 'mac BLOB', 'mac ANY') WHERE name = 'audit'`,
      );
    });
    attack(record.folder, (database) => {
      database.exec(`UPDATE audit SET ${change === 'mac = mac' ? 'mac = CAST(mac AS TEXT)' : change}`);
    });
    expect(verify(record.folder).fault?.seq).toBe(1);
  });
});

describe('an attacker who can write the file', () => {
  it.each([
    ['deletes a row', 'DELETE FROM audit WHERE seq = 17', 17, 'missing'],
    ['deletes the first row', 'DELETE FROM audit WHERE seq = 1', 1, 'missing'],
    [
      'deletes a row and closes the gap',
      'DELETE FROM audit WHERE seq = 17; UPDATE audit SET seq = seq - 1 WHERE seq > 17',
      17,
      'changed',
    ],
    [
      'exchanges two rows',
      'UPDATE audit SET seq = -1 WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = 9; UPDATE audit SET seq = 9 WHERE seq = -1',
      5,
      'changed',
    ],
    [
      'puts a row in before the first',
      `INSERT INTO audit (seq, at, key_version, actor, action, subject, mac) VALUES (0, 1, 1, 'a', 'b', 'c', x'00')`,
      1,
      'row 0 stands in its place',
    ],
    [
      'puts a row in at the end',
      `INSERT INTO audit (seq, at, key_version, actor, action, subject, mac) VALUES (41, 1, 1, 'a', 'b', 'c', zeroblob(32))`,
      41,
      'changed',
    ],
    [
      'copies an old row to the end',
      'INSERT INTO audit SELECT 41, at, key_version, actor, action, subject, detail, keyid, request_id, mac FROM audit WHERE seq = 7',
      41,
      'changed',
    ],
    [
      'moves a keyid into the column beside it',
      'UPDATE audit SET request_id = keyid, keyid = NULL WHERE seq = 3',
      3,
      'changed',
    ],
    [
      'moves a letter over the edge of a column',
      `UPDATE audit SET actor = actor || substr(action, 1, 1), action = substr(action, 2) WHERE seq = 3`,
      3,
      'changed',
    ],
    ['names another audit key', 'UPDATE audit SET key_version = 2 WHERE seq = 30', 30, 'audit key 2'],
  ])('%s: the first broken row is named', async (_what, sql, row, why) => {
    const { folder } = await wholeRecord();
    attack(folder, (database) => database.exec(sql));
    expect(verify(folder).fault).toEqual({ seq: row, why: expect.stringContaining(why) });
  });

  it('cuts the tail off: a head that was kept finds it', async () => {
    const { folder, head } = await wholeRecord();
    attack(folder, (database) => database.exec('DELETE FROM audit WHERE seq > 31'));
    expect(verify(folder)).toEqual({ rows: 31, head: expect.objectContaining({ seq: 31 }) });
    expect(verify(folder, [head]).fault).toEqual({ seq: 32, why: expect.stringContaining('cut') });
  });

  it('deletes every row: a head that was kept finds it', async () => {
    const { folder, head } = await wholeRecord();
    attack(folder, (database) => database.exec('DELETE FROM audit'));
    expect(verify(folder, [head]).fault).toEqual({ seq: 1, why: expect.stringContaining('cut') });
  });

  it('cuts the tail off and lets the gateway write it anew: the older head finds it, though a newer one holds', async () => {
    const { folder, head } = await wholeRecord();
    attack(folder, (database) => database.exec('DELETE FROM audit WHERE seq > 31'));
    const again = makeRecord(folder);
    await again.append(someEvents(20));
    expect(verify(folder, [again.head()]).fault).toBeUndefined();
    expect(verify(folder, [head, again.head()]).fault).toEqual({
      seq: 40,
      why: expect.stringContaining('rewritten'),
    });
  });

  it('puts an audit key of another folder into the table: it does not open', async () => {
    const [{ folder }, other] = [await wholeRecord(), await wholeRecord()];
    const wrapped = attack(other.folder, (database) =>
      database.prepare('SELECT wrapped FROM audit_keys').pluck().get(),
    );
    attack(folder, (database) => database.prepare('UPDATE audit_keys SET wrapped = ?').run(wrapped));
    expect(() => verify(folder)).toThrow(expect.objectContaining({ code: 'master-key-wrong' }));
  });

  it.each(['audit_keys', 'data_keys'])(
    'empties %s: no start makes a new key beside what needs the old one',
    async (table) => {
      const { folder } = await wholeRecord();
      if (table === 'data_keys') {
        const store = open(folder);
        await store.commitGroup.run('add', async (tx) => {
          await tx.consumers.add({ name: 'shop', roles: [], createdAt: 1 });
          const dates = { createdAt: 1, notBefore: 1, notAfter: 2 };
          await tx.consumers.addKey({
            keyid: 'shop.1',
            consumer: 'shop',
            sealedSecret: Buffer.of(1),
            ...dates,
          });
        });
        store.close();
      }
      attack(folder, (database) => database.exec(`DELETE FROM ${table}`));
      expect(() => open(folder)).toThrow(expect.objectContaining({ code: 'store-failed' }));
      expect(
        attack(folder, (database) => database.prepare(`SELECT count(*) FROM ${table}`).pluck().get()),
      ).toBe(0);
    },
  );

  it('takes a row out of the index, so that it is not listed: the check of the table tells', async () => {
    const { folder } = await wholeRecord();
    attack(folder, (database) => {
      database.unsafeMode();
      database.pragma('writable_schema = ON');
      database.exec(
        `UPDATE sqlite_schema SET sql = sql || ' WHERE keyid <> ''shop.1''' WHERE name = 'audit_by_keyid'`,
      );
    });
    attack(folder, (database) => database.exec('REINDEX audit_by_keyid'));
    attack(folder, (database) => {
      database.unsafeMode();
      database.pragma('writable_schema = ON');
      database.exec(
        `UPDATE sqlite_schema SET sql = substr(sql, 1, instr(sql, ' WHERE') - 1) WHERE name = 'audit_by_keyid'`,
      );
    });
    const file = new AuditFile(folder);
    expect(verify(folder).fault).toBeUndefined();
    expect(file.audit.damage()).toContainEqual(expect.stringContaining('audit_by_keyid'));
    file.close();
  });

  it('puts in a trigger that swallows rows: nothing is done any more that can not be recorded', async () => {
    const { folder } = await wholeRecord();
    attack(folder, (database) =>
      database.exec('CREATE TRIGGER hush BEFORE INSERT ON audit BEGIN SELECT RAISE(IGNORE); END'),
    );
    const store = open(folder);
    const change = store.commitGroup.run('add', async (tx) => {
      await tx.consumers.add({ name: 'shop', roles: [], createdAt: 1 });
      await tx.audit.append({ actor: 'cli', action: 'consumer.add', subject: 'shop' });
    });
    await expect(change).rejects.toMatchObject({ code: 'store-failed' });
    expect(store.consumers.list()).toEqual([]);
    store.close();
  });
});

function open(folder: string): SqliteStore {
  return new SqliteStore({ folder, clock: new ManualClock(), skew: 30, masterKey: undefined });
}

describe('the content of a row', () => {
  it('differs wherever the row does, be it in a type or at the edge between two columns', () => {
    const value = fc.tuple(
      fc.constantFrom('text', 'integer', 'null'),
      fc.string({ unit: 'binary', maxLength: 6 }),
    );
    const row = fc.array(value, { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(row, row, (one, other) => {
        const bytes = (values: typeof one) =>
          JSON.stringify(values.map(([type, text]) => [type, Buffer.from(text)]));
        expect(linkContent(one).equals(linkContent(other))).toBe(bytes(one) === bytes(other));
      }),
      { numRuns: 2000 },
    );
  });

  it('has a MAC that depends on the key and on the row before', () => {
    const content = linkContent([['text', 'x']]);
    const macs = [
      linkMac(Buffer.alloc(32, 1), undefined, content),
      linkMac(Buffer.alloc(32, 2), undefined, content),
      linkMac(Buffer.alloc(32, 1), Buffer.alloc(32, 1), content),
    ];
    expect(new Set(macs.map((mac) => mac.toString('hex'))).size).toBe(3);
  });
});
