/**
 * Runs in a process of its own: opens a store when told to, and does with it what its parent asks for.
 * @module
 */
import { writeSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { CountersignError } from '../../src/errors.ts';
import type { Quota } from '../../src/limits/quotas.ts';
import { databaseFile } from '../../src/storage/sqlite/database.ts';
import { SqliteStore } from '../../src/storage/sqlite/store.ts';
import { ManualClock } from '../storage/manual-clock.ts';
import type { Order, Reply } from './store-process.ts';

const clock = new ManualClock();
let store: SqliteStore | undefined;
let lock: Sqlite.Database | undefined;

function opened(): SqliteStore {
  if (!store) throw new Error('No store is open.');
  return store;
}

async function obey(order: Order): Promise<unknown> {
  switch (order.kind) {
    case 'open':
      // Two processes that commit without a pause may keep one another waiting for longer than a gateway would.
      store = new SqliteStore({
        folder: order.folder,
        clock,
        skew: 30,
        masterKey: undefined,
        lockWaitMs: 30_000,
      });
      return undefined;
    case 'close':
      opened().close();
      return undefined;
    case 'claim':
      return Promise.all(order.nonces.map((nonce) => opened().nonces.claim(nonce)));
    case 'charge':
      return charge(order.quotas, order.times);
    case 'seal':
      return opened().vault.seal('key', order.record, Buffer.from(order.text)).toString('base64');
    case 'unseal':
      return opened().vault.open('key', order.record, Buffer.from(order.blob, 'base64')).toString();
    case 'lock':
      lock = new Sqlite(databaseFile(order.folder));
      lock.exec('BEGIN IMMEDIATE');
      return undefined;
    case 'unlock':
      lock?.close();
      return undefined;
    case 'audit':
      return appendRows(order.prefix, order.rows);
    case 'flood':
      void flood(order.prefix);
      return undefined;
  }
}

/**
 * Claims without end, in turns of one to forty, and tells of each only when it has been claimed. Every few turns it
 * also adds a consumer and purges, so that a kill meets those too.
 */
async function flood(prefix: string): Promise<void> {
  const { nonces, commitGroup } = opened();
  for (let turn = 0; ; turn++) {
    const values = Array.from({ length: 1 + (turn % 40) }, (_, i) => `${prefix}-${turn}-${i}`);
    const claims = values.map(async (value) => {
      const created = clock.seconds;
      const verdict = await nonces.claim({ keyid: 'shop.1', value, created, expires: created + 60 });
      report(`${verdict} ${value}`);
    });
    if (turn % 5 === 0) {
      const name = `${prefix}-${turn}`;
      const added = commitGroup.run('add', (tx) => tx.consumers.add({ name, roles: [], createdAt: 1 }));
      claims.push(added.then(() => report(`added ${name}`)));
    }
    if (turn % 50 === 0) claims.push(opened().purge());
    await Promise.all(claims);
  }
}

/** Charges in turns of ten, and tells of each call that was let through. @returns how many were. */
async function charge(quotas: readonly Quota[], times: number): Promise<number> {
  let paid = 0;
  for (let done = 0; done < times; done += 10) {
    const verdicts = Array.from({ length: Math.min(10, times - done) }, async () => {
      if ((await opened().quotas.charge(quotas)).wait > 0) return;
      paid++;
      report('paid');
    });
    await Promise.all(verdicts);
  }
  return paid;
}

/** Appends to the audit record in turns of one to seven, and tells of each row when it is committed. */
async function appendRows(prefix: string, rows: number): Promise<void> {
  for (let done = 0; done < rows; ) {
    const turn = Math.min(rows - done, 1 + (done % 7));
    const appended = Array.from({ length: turn }, async (_, i) => {
      const subject = `${prefix}-${done + i}`;
      const event = { actor: 'cli', action: 'test.append', subject };
      await opened().commitGroup.run('append', (tx) => tx.audit.append(event));
      report(`appended ${subject}`);
    });
    await Promise.all(appended);
    done += turn;
  }
}

const pause = new Int32Array(new SharedArrayBuffer(4));

/** Straight to the pipe: what is written has left this process, whatever happens to it next. */
function report(line: string): void {
  let rest = Buffer.from(`${line}\n`);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      // The pipe is full: the parent reads more slowly than this process claims.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}

process.on('message', (order: Order) => {
  const reply = (answer: Omit<Reply, 'id'>): void => {
    process.send?.({ id: order.id, ...answer });
  };
  obey(order).then(
    (result) => reply({ result }),
    (error: unknown) => {
      const { code, members } = error instanceof CountersignError ? error : {};
      reply({ error: { message: String(error), code, members } });
    },
  );
});
process.on('disconnect', () => process.exit());
process.send?.({ id: 0 });
