/** Failures are paid for by address. */
import { describe, expect, it } from 'vitest';
import { bucketKey, FailureBuckets } from '../../src/limits/failure-bucket.ts';
import { TestClock } from '../../src/testing.ts';

const ADDRESS = '203.0.113.7';

function filled(burst = 200, perSecond = 20) {
  const clock = new TestClock(0);
  const buckets = new FailureBuckets({ burst, perSecond }, clock);
  return { clock, buckets, fail: (times: number, at = ADDRESS) => failTimes(buckets, times, at) };
}

function failTimes(buckets: FailureBuckets, times: number, address: string): void {
  for (let i = 0; i < times; i++) buckets.charge(address);
}

describe('a bucket', () => {
  it('holds as many failures as its burst', () => {
    const { buckets, fail } = filled();
    expect(buckets.wait(ADDRESS)).toBe(0);
    fail(199);
    expect(buckets.wait(ADDRESS)).toBe(0);
    fail(1);
    expect(buckets.wait(ADDRESS)).toBe(1 / 20);
  });

  it('is refilled as time goes by, and never beyond its burst', () => {
    const { clock, buckets, fail } = filled();
    fail(200);
    clock.advance(0.05);
    expect(buckets.wait(ADDRESS)).toBe(0);
    fail(1);
    expect(buckets.wait(ADDRESS)).toBeGreaterThan(0);
    clock.advance(3600);
    fail(199);
    expect(buckets.wait(ADDRESS)).toBe(0);
    fail(1);
    expect(buckets.wait(ADDRESS)).toBeGreaterThan(0);
  });

  it('forgets what exceeds its burst: the wait is never longer than for one failure', () => {
    const { buckets, fail } = filled();
    fail(100_000);
    expect(buckets.wait(ADDRESS)).toBe(1 / 20);
  });

  it('refills slowly where it is told to', () => {
    const { clock, buckets, fail } = filled(1, 0.01);
    fail(1);
    expect(buckets.wait(ADDRESS)).toBe(100);
    clock.advance(99);
    expect(buckets.wait(ADDRESS)).toBeCloseTo(1);
    clock.advance(1);
    expect(buckets.wait(ADDRESS)).toBeCloseTo(0);
  });

  it('gives nothing when the clock steps back, and is not stuck until it has caught up', () => {
    const { clock, buckets, fail } = filled();
    fail(200);
    clock.advance(-3600);
    expect(buckets.wait(ADDRESS)).toBe(1 / 20);
    clock.advance(1);
    expect(buckets.wait(ADDRESS)).toBe(0);
  });

  it('is one for each address', () => {
    const { buckets, fail } = filled();
    fail(200);
    expect(buckets.wait('203.0.113.8')).toBe(0);
  });

  it('is remembered for 50,000 addresses at a time, the last to fail', () => {
    const { buckets, fail } = filled(1);
    fail(1, 'first');
    fail(1, 'second');
    for (let i = 0; i < 49_998; i++) buckets.charge(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
    fail(1, 'first');
    fail(1, 'one more');
    expect(buckets.wait('first')).toBeGreaterThan(0);
    expect(buckets.wait('second')).toBe(0);
  });
});

describe('an address', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002:ffff::1', '2001:db8:1:2::/64'],
    ['2001:db8::5:6:7:8', '2001:db8:0:0::/64'],
    ['2001::4:5:6:7:8', '2001:0:0:4::/64'],
    ['2001::3:4:5:6:7:8', '2001:0:3:4::/64'],
    ['::2:3:4:5:6:7:8', '0:2:3:4::/64'],
    ['::3:4:5:6:7:8', '0:0:3:4::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['1::', '1:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['64:ff9b::203.0.113.7', '64:ff9b:0:0::/64'],
    ['1:2:3:4:5:6:203.0.113.7', '1:2:3:4::/64'],
    ['1:2:3::5:6:203.0.113.7', '1:2:3:0::/64'],
    ['', ''],
  ])('%s counts as %s', (address, key) => {
    expect(bucketKey(address)).toBe(key);
  });
});
