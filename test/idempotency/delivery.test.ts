import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { backoff, type Deliver, Deliveries, type FailedDelivery } from '../../src/idempotency/delivery.ts';
import { Owner } from '../../src/idempotency/owner.ts';
import type { Json } from '../../src/idempotency/state.ts';
import { SqliteStore } from '../../src/storage/sqlite/store.ts';
import { TestClock } from '../../src/testing.ts';

let folder: string;
let clock: TestClock;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-outbox-'));
  clock = new TestClock();
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
});

/** A store with its deliveries, as a process has them. */
function open(handlers: Readonly<Record<string, Deliver>>) {
  const failures: (FailedDelivery | undefined)[] = [];
  const store: SqliteStore = new SqliteStore({
    folder,
    clock,
    skew: 30,
    masterKey: undefined,
    onMessage: () => deliveries.wake(),
  });
  const deliveries: Deliveries = new Deliveries({
    queue: store.outbox,
    handlers,
    owner: new Owner(),
    clock,
    onFailure: (_, delivery) => failures.push(delivery),
  });
  let isOpen = true;
  async function close(): Promise<void> {
    if (!isOpen) return;
    isOpen = false;
    await deliveries.close();
    store.close();
  }
  onTestFinished(close);
  const send = (topic: string, ...payloads: Json[]) =>
    store.commitGroup.run('send', async (tx) => {
      for (const payload of payloads) await tx.outbox.add({ topic, payload });
    });
  return { store, failures, send, close };
}

/** A handler that notes what it was given. */
function noting(given: [Json, string][]): Deliver {
  return (payload, key) => void given.push([payload, key]);
}

describe('a message', () => {
  it('is delivered once its work has committed, in order, and is gone then', async () => {
    const given: [Json, string][] = [];
    const { store, send } = open({ mail: noting(given) });
    await send('mail', 1, 2);
    await send('mail', 3);
    await expect.poll(() => given.map(([payload]) => payload)).toEqual([1, 2, 3]);
    expect(new Set(given.map(([, key]) => key)).size).toBe(3);
    await expect.poll(() => store.outbox.topics()).toEqual([]);
  });

  it('of work that failed is never sent', async () => {
    const given: [Json, string][] = [];
    const { store, send } = open({ mail: noting(given) });
    const failing = store.commitGroup.run('fail', async (tx) => {
      await tx.outbox.add({ topic: 'mail', payload: 'never' });
      throw new Error('on purpose');
    });
    await expect(failing).rejects.toThrow('on purpose');
    await send('mail', 'sent');
    await expect.poll(() => given.map(([payload]) => payload)).toEqual(['sent']);
  });

  it('that is refused comes again under its key, later each time, and nothing of its topic overtakes it', async () => {
    const given: [Json, string][] = [];
    const others: [Json, string][] = [];
    let isDown = true;
    const { send, failures } = open({
      mail(payload, key) {
        given.push([payload, key]);
        if (isDown) throw new Error('down');
      },
      other: noting(others),
    });
    await send('mail', 1, 2);
    await expect.poll(() => failures.length).toBe(1);
    await send('other', 'x');
    await expect.poll(() => others.length).toBe(1);
    expect(given).toHaveLength(1);
    clock.advance(backoff(1) / 1000);
    await expect.poll(() => failures.map((each) => each?.failures)).toEqual([1, 2]);
    isDown = false;
    clock.advance(backoff(2) / 1000);
    await expect.poll(() => given.map(([payload]) => payload)).toEqual([1, 1, 1, 2]);
    expect(new Set(given.slice(0, 3).map(([, key]) => key)).size).toBe(1);
  });

  it('that nobody delivered before the end is delivered after the next start, under the same key', async () => {
    const first: [Json, string][] = [];
    const one = open({
      mail(payload, key) {
        first.push([payload, key]);
        throw new Error('the process ends before the receiver is back');
      },
    });
    await one.send('mail', 'late');
    await expect.poll(() => one.failures.length).toBe(1);
    await one.close();
    clock.advance(60);
    const given: [Json, string][] = [];
    open({ mail: noting(given) });
    await expect.poll(() => given).toEqual(first);
  });

  it('for a topic without a handler waits for a process that has one', async () => {
    const one = open({});
    await one.send('mail', 'waits');
    const given: [Json, string][] = [];
    open({ mail: noting(given) });
    await expect.poll(() => given.map(([payload]) => payload)).toEqual(['waits']);
  });
});

describe('a lease', () => {
  const LEASE = 30_000;
  const lease = (owner: string, isAlive = true) => ({
    owner,
    now: clock.now(),
    until: clock.now() + LEASE,
    isAlive: () => isAlive,
  });

  it('keeps others away until it runs out', async () => {
    const { store, send } = open({});
    await send('mail', 1, 2);
    const first = await store.outbox.lease('mail', lease('one'));
    expect(first?.payload).toBe(1);
    expect(await store.outbox.lease('mail', lease('two'))).toBeUndefined();
    clock.advance(LEASE / 1000);
    expect((await store.outbox.lease('mail', lease('two')))?.id).toBe(first?.id);
    // The first has lost it, and ends nothing.
    await store.outbox.delivered(first?.id as number, 'one');
    await store.outbox.failed(first?.id as number, 'one', clock.now() + 1);
    expect(await store.outbox.extend(first?.id as number, lease('one'))).toBe(false);
    expect((await store.outbox.lease('mail', lease('two')))?.failures).toBe(0);
    await store.outbox.delivered(first?.id as number, 'two');
    expect((await store.outbox.lease('mail', lease('one')))?.payload).toBe(2);
  });

  it('of a process that is gone keeps nobody away', async () => {
    const { store, send } = open({});
    await send('mail', 1);
    await store.outbox.lease('mail', lease('one'));
    expect((await store.outbox.lease('mail', lease('two', false)))?.payload).toBe(1);
  });

  it('does not last for ever where the clock was set back', async () => {
    const { store, send } = open({});
    await send('mail', 1);
    await store.outbox.lease('mail', lease('one'));
    clock.advance(-86_400);
    expect((await store.outbox.lease('mail', lease('two')))?.payload).toBe(1);
  });
});

it('a delivery that fails waits 1 s, then twice as long each time, up to 5 minutes', () => {
  expect([1, 2, 3, 9, 10, 2000].map(backoff)).toEqual([1000, 2000, 4000, 256_000, 300_000, 300_000]);
});
