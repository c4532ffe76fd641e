/**
 * The fence: after a power loss the newest nonces may be gone, so requests from before the start are not believed.
 *
 * A process that is killed loses nothing (its commits are the kernel's by then); a machine that goes down may lose
 * the tail of those that were not synced. Which of the two happened, the kernel's boot id tells.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Identifies this boot of the machine; undefined where that can't be read, which counts as a power loss. */
export function readBootId(): string | undefined {
  try {
    if (process.platform === 'darwin') {
      const printed = execFileSync('/usr/sbin/sysctl', ['-n', 'kern.bootsessionuuid'], { encoding: 'utf8' });
      return printed.trim() || undefined;
    }
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}

export interface FenceState {
  /** The boot in which the store was last opened, empty where it had no name; undefined where it never was. */
  readonly lastBootId: string | undefined;
  /** The fence that an earlier start raised, in epoch seconds; 0 where none did. */
  readonly fence: number;
}

/**
 * The fence for this start, in epoch seconds: requests with `created` at or before it are refused. It never moves
 * back, so a further restart keeps it.
 * @param restored whether the data folder came out of a backup.
 */
export function fenceAtStart(
  state: FenceState,
  bootId: string | undefined,
  restored: boolean,
  now: number,
  skew: number,
): number {
  const first = state.lastBootId === undefined;
  // An empty name stands for a boot that had none: two of those need not be one boot.
  const sameBoot = bootId !== undefined && bootId !== '' && state.lastBootId === bootId;
  if (!restored && (first || sameBoot)) return state.fence;
  return Math.max(state.fence, now + skew);
}
