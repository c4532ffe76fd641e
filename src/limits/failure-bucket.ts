/**
 * Failures are paid for by address: a token bucket, charged only for calls without a good MAC.
 * @module
 */
import { isIPv6 } from 'node:net';
import type { Clock } from '../clock.ts';

export interface BucketSize {
  /** Failures that an address may have at once. */
  readonly burst: number;
  /** Failures forgiven a second. */
  readonly perSecond: number;
}

/** More addresses than this are not told apart at one time; the longest quiet are forgotten first. */
const MOST_ADDRESSES = 50_000;

interface Bucket {
  spent: number;
  at: number;
}

export class FailureBuckets {
  private readonly buckets = new Map<string, Bucket>();
  private readonly size: BucketSize;
  private readonly clock: Clock;

  constructor(size: BucketSize, clock: Clock) {
    this.size = size;
    this.clock = clock;
  }

  /** Seconds until the address may fail again; 0 where it may now. */
  wait(address: string): number {
    if (this.buckets.size === 0) return 0;
    const bucket = this.buckets.get(bucketKey(address));
    if (!bucket) return 0;
    this.refill(bucket);
    const missing = bucket.spent + 1 - this.size.burst;
    return missing <= 0 ? 0 : missing / this.size.perSecond;
  }

  charge(address: string): void {
    const key = bucketKey(address);
    const bucket = this.buckets.get(key) ?? { spent: 0, at: this.clock.now() };
    this.refill(bucket);
    bucket.spent = Math.min(bucket.spent + 1, this.size.burst);
    // Deleted and set again, so that the map's order is the order of last use.
    this.buckets.delete(key);
    this.buckets.set(key, bucket);
    if (this.buckets.size > MOST_ADDRESSES) {
      const [oldest] = this.buckets.keys();
      this.buckets.delete(oldest as string);
    }
  }

  private refill(bucket: Bucket): void {
    const now = this.clock.now();
    // A clock that steps back forgives nothing, and takes nothing either.
    const elapsed = Math.max(0, now - bucket.at) / 1000;
    bucket.spent = Math.max(0, bucket.spent - elapsed * this.size.perSecond);
    bucket.at = now;
  }
}

/** IPv6 counts by /64, since whoever holds one address there holds them all. */
export function bucketKey(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = '', tail = ''] = address.split('%', 1)[0]?.split('::') ?? [];
  const before = groupsOf(head);
  const after = groupsOf(tail);
  const zeros = new Array(8 - before.length - after.length).fill('0');
  const network = [...before, ...zeros, ...after].slice(0, 4);
  return `${network.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`;
}

/** An IPv4 address at the end stands for two groups, which lie beyond the network. */
function groupsOf(part: string): string[] {
  return part === '' ? [] : part.replace(/[\d.]*\.\d+$/, '0:0').split(':');
}
