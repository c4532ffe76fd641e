/**
 * How often each key was used, and when last: counted in memory, since a call must not wait for it, and written in
 * batches. What is not yet written when a process is killed is lost; nothing is decided by it.
 * @module
 */
import type { KeyUsage } from './consumer.ts';

interface Counted {
  lastUsed: number;
  calls: number;
}

export class UsageCount {
  private counted = new Map<string, Counted>();

  /** On the path of every accepted call. @param now epoch seconds. */
  count(keyid: string, now: number): void {
    const counted = this.counted.get(keyid);
    if (!counted) this.counted.set(keyid, { lastUsed: now, calls: 1 });
    else {
      counted.calls++;
      if (now > counted.lastUsed) counted.lastUsed = now;
    }
  }

  /** Hands over what was counted since the last time, if anything; where it can't be written, it is kept. */
  async flush(write: (usage: ReadonlyMap<string, KeyUsage>) => Promise<void>): Promise<void> {
    const batch = this.counted;
    if (batch.size === 0) return;
    this.counted = new Map();
    try {
      await write(batch);
    } catch (error) {
      for (const [keyid, { lastUsed, calls }] of batch) {
        this.count(keyid, lastUsed);
        (this.counted.get(keyid) as Counted).calls += calls - 1;
      }
      throw error;
    }
  }
}
