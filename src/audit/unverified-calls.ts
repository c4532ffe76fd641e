/**
 * Refusals before a good MAC, counted by address and code: anybody can bring them about, so a row each would let
 * anybody fill the disk.
 * @module
 */
import { bucketKey } from '../limits/failure-bucket.ts';
import type { AuditEvent } from './audit.ts';

/** Addresses that get a row of their own; the others share one. */
export const MOST_ROWS = 100;
/** Addresses that are told apart at one time, so that the memory is bounded. */
const MOST_ADDRESSES = 10_000;
/** In the place of an address, for all that were not told apart. */
export const OTHERS = 'others';

type Counts = Map<string, number>;

export class UnverifiedCalls {
  private byAddress = new Map<string, Counts>();
  private others: Counts = new Map();

  /** @param address as the gateway knows it; empty where the call was refused before that. */
  count(address: string, code: string): void {
    add(this.countsOf(address === '' ? 'unknown' : bucketKey(address)), code, 1);
  }

  /** What was counted since the last time, the busiest first; the counting starts anew. */
  take(): AuditEvent[] {
    const taken = [...this.byAddress].map(([address, counts]) => ({ address, counts, calls: sum(counts) }));
    const { others } = this;
    this.byAddress = new Map();
    this.others = new Map();
    taken.sort((a, b) => b.calls - a.calls);
    for (const { counts } of taken.splice(MOST_ROWS)) merge(others, counts);
    if (others.size > 0) taken.push({ address: OTHERS, counts: others, calls: sum(others) });
    return taken.map(({ address, counts }) => ({
      actor: 'gateway',
      action: 'calls.unverified',
      subject: 'gateway',
      detail: { address, counts: Object.fromEntries(counts) },
    }));
  }

  /** Counts again what was taken and could not be written. */
  putBack(events: readonly AuditEvent[]): void {
    for (const { detail } of events) {
      const { address, counts } = detail as { address: string; counts: Record<string, number> };
      const all = address === OTHERS ? this.others : this.countsOf(address);
      for (const [code, count] of Object.entries(counts)) add(all, code, count);
    }
  }

  private countsOf(key: string): Counts {
    let counts = this.byAddress.get(key);
    if (counts) return counts;
    if (this.byAddress.size >= MOST_ADDRESSES) return this.others;
    counts = new Map();
    this.byAddress.set(key, counts);
    return counts;
  }
}

function add(counts: Counts, code: string, count: number): void {
  counts.set(code, (counts.get(code) ?? 0) + count);
}

function merge(into: Counts, counts: Counts): void {
  for (const [code, count] of counts) add(into, code, count);
}

function sum(counts: Counts): number {
  let all = 0;
  for (const count of counts.values()) all += count;
  return all;
}
