/** Usage is counted without being lost, and written in batches. */
import { describe, expect, it } from 'vitest';
import type { KeyUsage } from '../../src/consumers/consumer.ts';
import { UsageCount } from '../../src/consumers/usage.ts';

async function written(usage: UsageCount): Promise<Record<string, KeyUsage>[]> {
  const batches: Record<string, KeyUsage>[] = [];
  await usage.flush(async (batch) => {
    batches.push(Object.fromEntries(batch));
  });
  return batches;
}

describe('the usage of keys', () => {
  it('is the number of calls and the latest time, by key', async () => {
    const usage = new UsageCount();
    for (const [keyid, at] of [
      ['a', 10],
      ['b', 11],
      ['a', 12],
      ['a', 9],
    ] as const)
      usage.count(keyid, at);
    expect(await written(usage)).toEqual([{ a: { calls: 3, lastUsed: 12 }, b: { calls: 1, lastUsed: 11 } }]);
  });

  it('is written once, and not at all where no key was used', async () => {
    const usage = new UsageCount();
    expect(await written(usage)).toEqual([]);
    usage.count('a', 1);
    expect(await written(usage)).toHaveLength(1);
    expect(await written(usage)).toEqual([]);
  });

  it('that could not be written is kept, together with what came meanwhile', async () => {
    const usage = new UsageCount();
    usage.count('a', 10);
    usage.count('a', 11);
    const failing = usage.flush(() => {
      usage.count('a', 12);
      usage.count('b', 12);
      return Promise.reject(new Error('on purpose'));
    });
    await expect(failing).rejects.toThrow('on purpose');
    expect(await written(usage)).toEqual([{ a: { calls: 3, lastUsed: 12 }, b: { calls: 1, lastUsed: 12 } }]);
  });
});
