/**
 * Two processes that make the first start on one folder at the same instant.
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { expect } from 'vitest';
import { databaseFile } from '../../src/storage/sqlite/database.ts';
import { nonce } from '../contracts/store.ts';
import { dataFolder } from '../storage/data-folder.ts';
import { StoreProcess } from './store-process.ts';

/** Expects of each folder one master key, one data key and one schema, which both processes use. */
export async function raceFirstStarts(rounds: number): Promise<void> {
  const pair = await Promise.all([StoreProcess.start(), StoreProcess.start()]);
  const [one, other] = pair;
  for (let round = 0; round < rounds; round++) {
    const folder = dataFolder();
    const opened = await Promise.all(pair.map((each) => each.ask({ kind: 'open', folder })));
    expect(opened.map(({ error }) => error)).toEqual([undefined, undefined]);
    expect(Buffer.from(readFileSync(join(folder, 'master.key'), 'utf8'), 'base64')).toHaveLength(32);
    const blob = (await one.tell({ kind: 'seal', record: 'shop.1', text: 'secret' })) as string;
    expect(await other.tell({ kind: 'unseal', record: 'shop.1', blob })).toBe('secret');
    const used = [nonce()];
    const verdicts = await Promise.all(pair.map((each) => each.claim(used)));
    expect(verdicts.flat().sort()).toEqual(['claimed', 'replayed']);
    for (const each of pair) await each.tell({ kind: 'close' });
    expect(readdirSync(folder).sort()).toEqual(['countersign.db', 'master.key']);
    const database = new Sqlite(databaseFile(folder), { readonly: true });
    expect(database.prepare('SELECT version FROM data_keys').pluck().all()).toEqual([1]);
    database.close();
  }
}
