/**
 * Effects of a gateway that is killed again and again: each that was acknowledged is there once, whatever the moment
 * of the kill. The long version is harness.heavy.test.ts; as long as one likes, `npm run faults`.
 */
import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { reportText, runHarness } from './harness.ts';

describe('sixteen clients of a gateway that is killed forty times', () => {
  it('lose nothing, double nothing, and are answered with the first result', async () => {
    const seed = 5;
    const report = await runHarness({ seed, kills: 40 });
    console.log(reportText(report));
    expect(report).toMatchObject({ seed, kills: 40, lost: [], doubled: [], wrong: [], unknown: 0 });
    expect(report.acknowledged).toBeGreaterThan(40);
    expect(report.repeated).toBeGreaterThan(40);
    // One call's every statement, before and behind it, and others.
    expect(report.sweeps).toBeGreaterThan(0);
    expect([...report.struckAt.keys()]).toEqual(
      expect.arrayContaining(['before COMMIT', 'after COMMIT', 'after BEGIN IMMEDIATE', 'signal']),
    );
  }, 300_000);

  it('find it out where the effect commits after its record', async () => {
    const report = await runHarness({ seed: 5, kills: 6, ways: ['commit'], isSabotaged: true });
    if (report.folder) rmSync(dirname(report.folder), { recursive: true });
    expect(report.lost.length).toBeGreaterThan(0);
  }, 300_000);
});
