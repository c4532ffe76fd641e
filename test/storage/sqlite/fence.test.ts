/** The fence as a store raises it, keeps it and applies it. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Nonce } from '../../../src/replay/nonces.ts';
import { RESTORED_MARK, SqliteStore } from '../../../src/storage/sqlite/store.ts';
import { dataFolder } from '../data-folder.ts';
import { ManualClock } from '../manual-clock.ts';

const SKEW = 30;
const START = 1_800_000_000;

/** One folder, started again and again. */
class Machine {
  readonly folder = dataFolder();
  readonly clock = new ManualClock(START);

  start(bootId: string | undefined): SqliteStore {
    const { folder, clock } = this;
    const store = new SqliteStore({ folder, clock, skew: SKEW, masterKey: undefined, bootId: () => bootId });
    onTestFinished(() => store.close());
    return store;
  }
}

let count = 0;

function createdAt(created: number): Nonce {
  return {
    keyid: 'shop.1',
    value: `nonce-${String(++count).padStart(20, '0')}`,
    created,
    expires: created + 60,
  };
}

describe('a store', () => {
  it('raises no fence at its first start, nor in the same boot', async () => {
    const machine = new Machine();
    for (let start = 0; start < 2; start++) {
      const store = machine.start('boot-1');
      expect(store.fence).toBe(0);
      expect(await store.nonces.claim(createdAt(START - 40))).toBe('claimed');
      store.close();
    }
  });

  it('in another boot refuses what may have been used before it, and not a second more', async () => {
    const machine = new Machine();
    const before = machine.start('boot-1');
    const used = createdAt(START);
    await before.nonces.claim(used);
    before.close();
    machine.clock.seconds += 5;
    const store = machine.start('boot-2');
    const fence = machine.clock.seconds + SKEW;
    expect(store.fence).toBe(fence);
    const verdicts = [createdAt(START), createdAt(fence), createdAt(fence + 1), used];
    expect(await Promise.all(verdicts.map((each) => store.nonces.claim(each)))).toEqual([
      'expired',
      'expired',
      'claimed',
      'expired',
    ]);
    expect(await store.commitGroup.run('work', (tx) => tx.nonces.claim(createdAt(fence)))).toBe('expired');
  });

  it('keeps its fence at further restarts of the same boot, also where the clock went back', async () => {
    const machine = new Machine();
    machine.start('boot-1').close();
    const { fence } = machine.start('boot-2');
    for (const seconds of [START + 1, START - 1000, START + 10_000]) {
      machine.clock.seconds = seconds;
      const store = machine.start('boot-2');
      expect(store.fence).toBe(fence);
      expect(await store.nonces.claim(createdAt(fence))).toBe('expired');
    }
  });

  it('whose boot has no name raises a fence at each start but the first', () => {
    const machine = new Machine();
    expect(machine.start(undefined).fence).toBe(0);
    expect(machine.start(undefined).fence).toBe(START + SKEW);
    machine.clock.seconds += 10;
    expect(machine.start(undefined).fence).toBe(START + 10 + SKEW);
  });

  it('out of a backup raises a fence once, and takes the mark away', () => {
    const machine = new Machine();
    machine.start('boot-1').close();
    const mark = join(machine.folder, RESTORED_MARK);
    writeFileSync(mark, '');
    expect(machine.start('boot-1').fence).toBe(START + SKEW);
    expect(existsSync(mark)).toBe(false);
    machine.clock.seconds += 10;
    expect(machine.start('boot-1').fence).toBe(START + SKEW);
  });

  it('that could not be opened leaves the mark for the next start', () => {
    const machine = new Machine();
    machine.start('boot-1').close();
    const mark = join(machine.folder, RESTORED_MARK);
    writeFileSync(mark, '');
    const { folder, clock } = machine;
    const masterKey = Buffer.alloc(32).toString('base64');
    expect(() => new SqliteStore({ folder, clock, skew: SKEW, masterKey })).toThrow();
    expect(existsSync(mark)).toBe(true);
    expect(machine.start('boot-1').fence).toBe(START + SKEW);
  });
});
