/** Several processes on one folder, and processes that are killed. The long version is processes.heavy.test.ts. */
import { describe, expect, it } from 'vitest';
import { SqliteStore } from '../../src/storage/sqlite/store.ts';
import { nonce } from '../contracts/store.ts';
import { dataFolder } from '../storage/data-folder.ts';
import { ManualClock } from '../storage/manual-clock.ts';
import { killAgainAndAgain } from './killed.ts';
import { claimInLockstep } from './lockstep.ts';
import { raceFirstStarts } from './raced-start.ts';
import { StoreProcess } from './store-process.ts';

describe('two processes on one folder', () => {
  it('that are given the same 2,000 nonces at once: each is claimed exactly once', () =>
    claimInLockstep(2000));

  it('that make the first start at once agree on one master key and one schema', () => raceFirstStarts(12));
});

describe('a process that is killed while it claims', () => {
  it('loses nothing that it told of, in 10 rounds', () => killAgainAndAgain(10));
});

describe('a database that another process has locked', () => {
  it('makes claims "store-unavailable", of unknown outcome, and leaves them good for later', async () => {
    const folder = dataFolder();
    const [gateway, rival] = await Promise.all([StoreProcess.start(), StoreProcess.start()]);
    await gateway.tell({ kind: 'open', folder });
    const before = [nonce()];
    expect(await gateway.claim(before)).toEqual(['claimed']);
    await rival.tell({ kind: 'lock', folder });
    const nonces = [nonce(), nonce()];
    const { error } = await gateway.ask({ kind: 'claim', nonces });
    expect(error).toMatchObject({ code: 'store-unavailable', members: { outcome: 'unknown' } });
    await rival.tell({ kind: 'unlock' });
    expect(await gateway.claim([...nonces, ...nonces, ...before])).toEqual([
      'claimed',
      'claimed',
      'replayed',
      'replayed',
      'replayed',
    ]);
  });

  it('makes a start wait until it is free', async () => {
    const folder = dataFolder();
    const [gateway, rival] = await Promise.all([StoreProcess.start(), StoreProcess.start()]);
    await rival.tell({ kind: 'open', folder });
    await rival.tell({ kind: 'lock', folder });
    const opened = gateway.tell({ kind: 'open', folder });
    await rival.tell({ kind: 'unlock' });
    await opened;
    expect(await gateway.claim([nonce()])).toEqual(['claimed']);
  });

  it('for longer than a start waits makes it fail by name', async () => {
    const folder = dataFolder();
    const rival = await StoreProcess.start();
    await rival.tell({ kind: 'open', folder });
    await rival.tell({ kind: 'lock', folder });
    const settings = { folder, clock: new ManualClock(), skew: 30, masterKey: undefined, lockWaitMs: 20 };
    expect(() => new SqliteStore(settings)).toThrow(expect.objectContaining({ code: 'store-failed' }));
    await rival.tell({ kind: 'unlock' });
    new SqliteStore(settings).close();
  });

  it('by a process that is then killed is free again', async () => {
    const folder = dataFolder();
    const [gateway, rival] = await Promise.all([StoreProcess.start(), StoreProcess.start()]);
    await gateway.tell({ kind: 'open', folder });
    await rival.tell({ kind: 'lock', folder });
    await rival.kill();
    expect(await gateway.claim([nonce()])).toEqual(['claimed']);
  });
});
