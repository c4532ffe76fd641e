/**
 * The port for effects outside the database. A message commits with the work that asked for it, and is delivered
 * afterwards, at least once: in order within its topic, each time under the same key, by which the receiver tells a
 * second delivery from a second effect.
 * @module
 */
import { createHash } from 'node:crypto';
import type { Json } from './state.ts';

export interface OutboxMessage {
  /** Which handler gets it; messages of one topic go one after the other. */
  readonly topic: string;
  readonly payload: Json;
  /** By default the endpoint's call and the message's place in it make it, elsewhere it is drawn at random. */
  readonly key?: string;
  /** The pseudonymous id of whom it concerns: it goes with them. */
  readonly subject?: string;
}

/** Inside a unit of work. */
export interface Outbox {
  add(message: OutboxMessage): void | Promise<void>;
  /** Removes the messages that concern somebody, one that is being delivered too. */
  forget(subject: string): void | Promise<void>;
}

/** A message that a process has leased: until the lease runs out, no other delivers it. */
export interface LeasedMessage {
  readonly id: number;
  readonly topic: string;
  readonly key: string;
  readonly payload: Json;
  /** Deliveries that failed. */
  readonly failures: number;
}

/** Times are milliseconds since the epoch. */
export interface Lease {
  readonly owner: string;
  readonly now: number;
  readonly until: number;
  /** Whether whoever holds a lease may still be at work; a lease of one who isn't ends at once. */
  isAlive(owner: string): boolean;
}

/** What delivers. Each call is a commit of its own, and rejects with `store-unavailable`. */
export interface OutboxQueue {
  /** The oldest message of the topic; undefined where there is none, it isn't due, or another has leased it. */
  lease(topic: string, lease: Lease): Promise<LeasedMessage | undefined>;
  /** @returns whether it was still leased. */
  extend(id: number, lease: Lease): Promise<boolean>;
  /** It was delivered: it is deleted, if it is still leased. */
  delivered(id: number, owner: string): Promise<void>;
  /** It was not: the topic waits until it is due again. */
  failed(id: number, owner: string, dueAt: number): Promise<void>;
  /** Topics that hold messages. */
  topics(): readonly string[];
}

/** The key of a message: the same also where the call is carried out again, upon a database that was restored. */
export function messageKey(recordId: string, index: number): string {
  return createHash('sha256')
    .update(JSON.stringify(['outbox', recordId, index]))
    .digest('base64url');
}
