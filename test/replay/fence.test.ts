/** What each kind of start does to the fence. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fenceAtStart, readBootId } from '../../src/replay/fence.ts';

const NOW = 1_800_000_000;
const SKEW = 30;
const RAISED = NOW + SKEW;

describe('the fence at a start', () => {
  it.each([
    // what happened, the stored boot, the stored fence, this boot, restored, the fence
    ['the first start', undefined, 0, 'boot-1', false, 0],
    ['the first start, where the boot has no name', undefined, 0, undefined, false, 0],
    ['a restart in the same boot', 'boot-1', 0, 'boot-1', false, 0],
    ['a start in another boot', 'boot-1', 0, 'boot-2', false, RAISED],
    ['a start whose boot has no name', 'boot-1', 0, undefined, false, RAISED],
    ['a second start where no boot has a name', '', 0, undefined, false, RAISED],
    ['a named boot after one without a name', '', 0, 'boot-2', false, RAISED],
    ['an empty name, which is none', '', 0, '', false, RAISED],
    ['a folder out of a backup, in the same boot', 'boot-1', 0, 'boot-1', true, RAISED],
    ['a folder out of a backup that was never opened', undefined, 0, 'boot-1', true, RAISED],
    ['a folder out of a backup, where the boot has no name', undefined, 0, undefined, true, RAISED],
    ['a further restart, which keeps the fence', 'boot-2', NOW - 5, 'boot-2', false, NOW - 5],
    ['another boot with a later fence than its own', 'boot-1', RAISED + 500, 'boot-2', false, RAISED + 500],
    [
      'a clock that fell back before another boot',
      'boot-1',
      RAISED + 86_400,
      'boot-2',
      false,
      RAISED + 86_400,
    ],
  ])('%s', (_what, lastBootId, fence, bootId, restored, expected) => {
    expect(fenceAtStart({ lastBootId, fence }, bootId, restored, NOW, SKEW)).toBe(expected);
  });

  it('never moves back, over any chain of starts', () => {
    const boot = fc.option(fc.constantFrom('one', 'two', ''), { nil: undefined });
    const start = fc.record({ boot, restored: fc.boolean(), now: fc.nat(10_000), skew: fc.nat(300) });
    fc.assert(
      fc.property(fc.array(start), (starts) => {
        let state: { lastBootId: string | undefined; fence: number } = { lastBootId: undefined, fence: 0 };
        for (const { boot, restored, now, skew } of starts) {
          const fence = fenceAtStart(state, boot, restored, now, skew);
          expect(fence).toBeGreaterThanOrEqual(state.fence);
          state = { lastBootId: boot ?? '', fence };
        }
      }),
    );
  });
});

describe('the boot id', () => {
  it('is the same for as long as the machine is up, and never empty', () => {
    const bootId = readBootId();
    expect(bootId).toBe(readBootId());
    expect(bootId).not.toBe('');
  });
});
