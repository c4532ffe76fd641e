/**
 * Time as this process has it, which doesn't pass while others have the machine: for bounds that a busy machine keeps.
 * @module
 */

/** @returns milliseconds of processor time that this process spent on the work, all its threads together. */
export function processorTime(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

const TICK_MS = 50;

/**
 * Of what another timer of this process brings about.
 * @returns milliseconds, in ticks of the event loop: a tick that comes late counts as one.
 */
export async function loopTime(end: Promise<unknown>): Promise<number> {
  let ticks = 0;
  const ticking = setInterval(() => ticks++, TICK_MS);
  try {
    await end;
  } finally {
    clearInterval(ticking);
  }
  return ticks * TICK_MS;
}
