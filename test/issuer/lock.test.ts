/** The lock: one holder at a time, whoever crashes. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Lock, lockOf } from '../../src/issuer/lock.ts';
import { rotate } from '../../src/issuer/rotation.ts';
import { PASSPHRASE, Scene } from './inbox-scene.ts';

function lockFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-lock-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'lock');
}

const busy = { code: 'issuer-busy' };

describe('a lock', () => {
  it('is refused while it is held, and free after', async () => {
    const folder = lockFolder();
    const lock = await Lock.acquire(folder);
    await expect(Lock.acquire(folder, 0)).rejects.toMatchObject({
      ...busy,
      message: expect.stringContaining(`process ${process.pid}`),
    });
    lock.release();
    lock.release();
    (await Lock.acquire(folder, 0)).release();
    expect(readdirSync(folder)).toEqual([]);
  });

  it('is waited for', async () => {
    const folder = lockFolder();
    const first = await Lock.acquire(folder);
    const second = Lock.acquire(folder, 60_000);
    first.release();
    (await second).release();
  });

  it('of a process that was killed is free', async () => {
    const folder = lockFolder();
    const child = fork(join(import.meta.dirname, 'lock-child.ts'), [folder], {
      execArgv: ['--import', import.meta.resolve('tsx')],
    });
    await once(child, 'message');
    await expect(Lock.acquire(folder, 0)).rejects.toMatchObject({
      ...busy,
      message: expect.stringContaining(`process ${child.pid}`),
    });
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    (await Lock.acquire(folder, 0)).release();
  });

  /** A lock that was left behind, with other parts in the place of its own. */
  async function left(change: (parts: string[]) => void): Promise<{ folder: string; name: string }> {
    const folder = lockFolder();
    const lock = await Lock.acquire(folder);
    const parts = readdirSync(folder)[0]?.split('-') ?? [];
    lock.release();
    change(parts);
    const name = parts.join('-');
    writeFileSync(join(folder, name), '');
    return { folder, name };
  }

  it.each<[string, (parts: string[]) => void]>([
    ['whose process id now belongs to another', (parts) => parts.splice(1, 1, '1')],
    ['of a boot before this one', (parts) => parts.splice(2, 1, '0'.repeat(32))],
  ])('%s is free', async (_what, change) => {
    const { folder } = await left(change);
    (await Lock.acquire(folder, 0)).release();
    expect(readdirSync(folder)).toEqual([]);
  });

  it('of another container is refused, with what to do where that has ended', async () => {
    const { folder, name } = await left((parts) => parts.splice(1, 3, '1', parts[2] ?? '', '1'));
    await expect(Lock.acquire(folder, 0)).rejects.toMatchObject({
      ...busy,
      message: expect.stringMatching(`another container.* remove its file .*${name}`),
    });
    expect(readdirSync(folder)).toEqual([name]);
  });

  it("isn't taken where something unknown lies in its place", async () => {
    const folder = lockFolder();
    (await Lock.acquire(folder)).release();
    writeFileSync(join(folder, 'notes.txt'), '');
    await expect(Lock.acquire(folder, 0)).rejects.toMatchObject(busy);
    expect(readdirSync(folder)).toEqual(['notes.txt']);
  });

  it('is held by one of many that want it at the same moment', async () => {
    const folder = lockFolder();
    let holders = 0;
    let most = 0;
    const work = async () => {
      const lock = await Lock.acquire(folder, 60_000);
      most = Math.max(most, ++holders);
      await new Promise(setImmediate);
      holders--;
      lock.release();
    };
    await Promise.all(Array.from({ length: 12 }, work));
    expect(most).toBe(1);
  });
});

describe('two passes at once', () => {
  it('answer each request once: the second waits, or says that the issuer is busy', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const ids = [gateway.ask(), gateway.ask(), gateway.ask()];
    const ends = await Promise.allSettled([scene.pass(), scene.pass()]);
    for (const end of ends) {
      if (end.status === 'rejected') expect(end.reason).toMatchObject(busy);
    }
    const issued = scene.rows().filter(({ event }) => event === 'issue');
    expect(issued.map(({ id }) => id)).toEqual(ids);
    expect(scene.files().inbox).toEqual([]);
  });
});

describe('a pass, and a step to the next root', () => {
  it('do nothing, and say that the issuer is busy, where another process stays at it', async () => {
    const scene = await Scene.make();
    const id = (await scene.requester('gateway')).ask();
    const before = scene.rows();
    const lock = await Lock.acquire(lockOf(scene.dir));
    const { dir, clock } = scene;
    const ends = await Promise.allSettled([scene.pass(), rotate({ dir, clock, passphrase: PASSPHRASE })]);
    for (const end of ends) expect(end).toMatchObject({ status: 'rejected', reason: busy });
    expect(scene.rows()).toEqual(before);
    lock.release();
    expect((await scene.pass()).outcomes).toMatchObject([{ outcome: 'issued', id }]);
  });
});
