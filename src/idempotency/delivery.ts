/**
 * Delivers what the outbox holds: each topic in its order, again and again until its handler has taken it.
 * @module
 */
import type { Clock } from '../clock.ts';
import type { LeasedMessage, OutboxQueue } from './outbox.ts';
import type { Owner, OwnerName } from './owner.ts';
import type { Json } from './state.ts';

/**
 * Takes a message of one topic; it counts as delivered once this resolves. One that rejects is called again later, and
 * nothing of its topic overtakes it. After a crash it is called again too, though it may have done its work.
 * @param key the same in every delivery of a message, and of no other: what the receiver knows a repetition by.
 */
export type Deliver = (payload: Json, key: string) => void | Promise<void>;

export interface FailedDelivery {
  readonly topic: string;
  readonly key: string;
  /** How often it has failed by now. */
  readonly failures: number;
}

export interface DeliveriesParts {
  readonly queue: OutboxQueue;
  /** By topic, or by the part of it before its first space: such topics share a handler, and none waits for another. */
  readonly handlers: Readonly<Record<string, Deliver>>;
  readonly owner: Owner;
  readonly clock: Clock;
  /** Told of a handler's failure, and of the store's (without a delivery). */
  readonly onFailure: (error: unknown, delivery?: FailedDelivery) => void;
}

/** Between looks for messages of other processes, and for those that are due again. */
const POLL_MS = 250;
/** What was added is looked for as soon as its commit can be there. */
const SOON_MS = 5;
const LEASE_MS = 30_000;
/** For a handler at the end. */
const PATIENCE_MS = 10_000;
const LONGEST_BACKOFF_MS = 5 * 60_000;

/** Milliseconds before a delivery that has failed so often is tried again: 1 s, doubled each time, at most 5 minutes. */
export function backoff(failures: number): number {
  return Math.min(LONGEST_BACKOFF_MS, 1000 * 2 ** (failures - 1));
}

function handlerOf(handlers: DeliveriesParts['handlers'], topic: string): Deliver | undefined {
  const name = [topic, topic.split(' ', 1)[0] as string].find((each) => Object.hasOwn(handlers, each));
  return name === undefined ? undefined : handlers[name];
}

export class Deliveries {
  private readonly parts: DeliveriesParts;
  private readonly name: OwnerName;
  private readonly busy = new Map<string, Promise<void>>();
  private readonly poll: NodeJS.Timeout;
  private soon: NodeJS.Timeout | undefined;
  private isClosed = false;

  constructor(parts: DeliveriesParts) {
    this.parts = parts;
    this.name = parts.owner.begin();
    this.poll = setInterval(() => this.look(), POLL_MS);
    this.poll.unref();
  }

  /** A message was added, and will be there once its commit is. */
  wake(): void {
    if (this.isClosed) return;
    this.soon ??= setTimeout(() => {
      this.soon = undefined;
      this.look();
    }, SOON_MS);
  }

  /**
   * Waits for the deliveries that are under way, yet not for ever: one that is left behind is made again, by another
   * process or after the next start.
   */
  async close(): Promise<void> {
    this.isClosed = true;
    clearInterval(this.poll);
    clearTimeout(this.soon);
    let patience: NodeJS.Timeout | undefined;
    const impatient = new Promise<void>((resolve) => {
      patience = setTimeout(resolve, PATIENCE_MS);
    });
    await Promise.race([Promise.all(this.busy.values()), impatient]);
    clearTimeout(patience);
    this.parts.owner.end(this.name);
  }

  private look(): void {
    const { queue, handlers, onFailure } = this.parts;
    let topics: readonly string[];
    try {
      topics = queue.topics();
    } catch (error) {
      onFailure(error);
      return;
    }
    for (const topic of topics) {
      const deliver = handlerOf(handlers, topic);
      if (!deliver || this.busy.has(topic)) continue;
      const draining = this.drain(topic, deliver)
        .catch((error: unknown) => onFailure(error))
        .finally(() => this.busy.delete(topic));
      this.busy.set(topic, draining);
    }
  }

  private async drain(topic: string, deliver: Deliver): Promise<void> {
    const { queue } = this.parts;
    while (!this.isClosed) {
      const message = await queue.lease(topic, this.lease());
      if (!message || !(await this.deliver(message, deliver))) return;
    }
  }

  /** @returns whether it was delivered. */
  private async deliver(
    { id, topic, key, payload, failures }: LeasedMessage,
    deliver: Deliver,
  ): Promise<boolean> {
    const { queue, clock, onFailure } = this.parts;
    const renewal = setInterval(() => {
      queue.extend(id, this.lease()).catch((error: unknown) => onFailure(error));
    }, LEASE_MS / 3);
    renewal.unref();
    try {
      await deliver(payload, key);
    } catch (error) {
      onFailure(error, { topic, key, failures: failures + 1 });
      await queue.failed(id, this.name, clock.now() + backoff(failures + 1));
      return false;
    } finally {
      clearInterval(renewal);
    }
    await queue.delivered(id, this.name);
    return true;
  }

  private lease() {
    const { owner, clock } = this.parts;
    const now = clock.now();
    return { owner: this.name, now, until: now + LEASE_MS, isAlive: (name: OwnerName) => owner.mayRun(name) };
  }
}
