/**
 * Two processes on one folder that claim the same nonces at the same instant.
 * @module
 */
import { expect } from 'vitest';
import { nonce } from '../contracts/store.ts';
import { dataFolder } from '../storage/data-folder.ts';
import { StoreProcess } from './store-process.ts';

/** Sends each nonce to both in one go, and expects that exactly one gets it, and now one, now the other. */
export async function claimInLockstep(count: number): Promise<void> {
  const folder = dataFolder();
  const pair = await Promise.all([StoreProcess.start(), StoreProcess.start()]);
  const [one, other] = pair;
  for (const each of pair) await each.tell({ kind: 'open', folder });
  const won = [0, 0];
  for (let round = 0; round < count; ) {
    // From single nonces up to turns of eight; first the one is told, then the other.
    const nonces = Array.from({ length: Math.min(1 + (round % 8), count - round) }, () => nonce());
    const [first, second] = round % 2 ? [one, other] : [other, one];
    const [verdicts, others] = await Promise.all([first.claim(nonces), second.claim(nonces)]);
    nonces.forEach((_, i) => {
      expect([verdicts[i], others[i]].sort()).toEqual(['claimed', 'replayed']);
      const winner = (verdicts[i] === 'claimed') === (first === one) ? 0 : 1;
      won[winner] = (won[winner] as number) + 1;
    });
    round += nonces.length;
  }
  expect(won.reduce((sum, each) => sum + each)).toBe(count);
  expect(Math.min(...won), 'both were in the race').toBeGreaterThan(0);
}
