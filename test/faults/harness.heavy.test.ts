/** The long version of harness.test.ts. */
import { expect, it } from 'vitest';
import { reportText, runHarness } from './harness.ts';

it('of all effects, none is lost and none doubled by 320 kills, at every statement and at random', async () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const report = await runHarness({ seed, kills: 320 });
  console.log(`${reportText(report)} (seed ${seed})`);
  expect(report).toMatchObject({ seed, kills: 320, lost: [], doubled: [], wrong: [], unknown: 0 });
  // Nonce and key, a counter, a transfer, and one that is refused: some 45 kills each.
  expect(report.sweeps).toBeGreaterThanOrEqual(6);
}, 1_800_000);
