/** The master key is made once, read after that, and never made beside a database. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadMasterKey, masterKeyFile } from '../../src/consumers/master-key.ts';
import { dataFolder, filesOf } from '../storage/data-folder.ts';

const KEY = Buffer.alloc(32, 7).toString('base64');
const wrong = expect.objectContaining({ code: 'master-key-wrong' });

function emptyFolder(): string {
  const folder = dataFolder();
  mkdirSync(folder);
  return folder;
}

function load(folder: string, given?: string, databaseExists = false): Buffer {
  return loadMasterKey({ folder, given, databaseExists });
}

describe('the master key', () => {
  it('is 32 random bytes in a file of its owner, and the same at each start', () => {
    const folder = emptyFolder();
    const key = load(folder);
    expect(key).toHaveLength(32);
    expect(load(folder)).toEqual(key);
    expect(load(folder, undefined, true)).toEqual(key);
    expect(statSync(masterKeyFile(folder)).mode & 0o777).toBe(0o600);
    expect(load(emptyFolder())).not.toEqual(key);
  });

  it('leaves nothing but its file', () => {
    const folder = emptyFolder();
    load(folder);
    expect(readdirSync(folder)).toEqual(['master.key']);
  });

  it('is made in spite of the draft that a killed first start left, also by a process of the same id', () => {
    const folder = emptyFolder();
    for (const name of [`master.key.${process.pid}`, 'master.key.1'])
      writeFileSync(join(folder, name), 'half');
    expect(load(folder)).toHaveLength(32);
  });

  it('is not made beside a database', () => {
    const folder = emptyFolder();
    expect(() => load(folder, undefined, true)).toThrow(
      expect.objectContaining({ code: 'master-key-missing' }),
    );
    expect(readdirSync(folder)).toEqual([]);
  });

  it('from the environment takes the place of the file, and none is made', () => {
    const folder = emptyFolder();
    expect(load(folder, KEY)).toEqual(Buffer.alloc(32, 7));
    expect(load(folder, `${KEY}\n`, true)).toEqual(Buffer.alloc(32, 7));
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each([
    ['nothing', ''],
    ['31 bytes', Buffer.alloc(31).toString('base64')],
    ['33 bytes', Buffer.alloc(33).toString('base64')],
    ['hexadecimal', Buffer.alloc(32, 7).toString('hex')],
    ['base64url', Buffer.alloc(32, 0xff).toString('base64url')],
    ['two keys', `${KEY}\n${KEY}`],
    ['a key with something after it', `${KEY}!`],
  ])('is refused where it is %s, and the file stays as it was', (_what, text) => {
    const folder = emptyFolder();
    expect(() => load(folder, text)).toThrow(wrong);
    writeFileSync(masterKeyFile(folder), text, { mode: 0o600 });
    const before = filesOf(folder);
    expect(() => load(folder)).toThrow(wrong);
    expect(filesOf(folder)).toEqual(before);
  });

  it('that others can read is refused, and the fault says what to run', () => {
    const folder = emptyFolder();
    load(folder);
    for (const mode of [0o640, 0o604, 0o660, 0o644, 0o610]) {
      chmodSync(masterKeyFile(folder), mode);
      expect(() => load(folder)).toThrow(/chmod 600/);
    }
    chmodSync(masterKeyFile(folder), 0o400);
    expect(load(folder)).toHaveLength(32);
  });

  it('never shows itself in an error', () => {
    const folder = emptyFolder();
    const text = readFileSync(masterKeyFile(load(folder) && folder), 'utf8').trim();
    writeFileSync(masterKeyFile(folder), `${text}${text}`);
    try {
      load(folder);
      expect.unreachable();
    } catch (error) {
      expect(String((error as Error).stack)).not.toContain(text);
    }
  });
});
