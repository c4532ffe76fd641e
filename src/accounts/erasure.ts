/**
 * The right to be forgotten: everything kept about a person goes in one unit of work, and what lies outside the
 * database after it has committed. The audit record keeps the random id alone, which leads nowhere from then on.
 *
 * What is left to do is a message of the outbox, which commits with the erasure: a crash in between ends nothing.
 * @module
 */
import type { ConsumerChanges, ConsumerReader } from '../consumers/consumer.ts';
import type { Deliver } from '../idempotency/delivery.ts';
import type { Outbox } from '../idempotency/outbox.ts';
import type { DoneRecords } from '../idempotency/records.ts';
import type { QuotaCharges } from '../limits/quotas.ts';
import type { Account, AccountChanges } from './account.ts';
import type { MailFiles } from './mail-files.ts';

export const ERASURE_TOPIC = 'countersign/erasure';

/** What an erasure reaches of a unit of work. */
export interface ErasureTransaction {
  readonly accounts: Pick<AccountChanges, 'remove'>;
  readonly consumers: Pick<ConsumerReader, 'find'> & Pick<ConsumerChanges, 'remove'>;
  readonly records: Pick<DoneRecords, 'forget'>;
  readonly quotas: Pick<QuotaCharges, 'forget'>;
  readonly outbox: Outbox;
}

/** What was erased, by the names under which mail is kept for it. */
export interface Erased {
  readonly account: string;
  /** From `Tickets.addressTag()`: an invitation came before there was an account. */
  readonly address: string;
}

/** Erases an account; its unit of work commits all of it or nothing. */
export async function eraseAccount(
  tx: ErasureTransaction,
  { id, consumer: name }: Account,
  address: string,
): Promise<void> {
  const consumer = name === undefined ? undefined : tx.consumers.find(name);
  const ids = consumer ? [id, consumer.id] : [id];
  const names = consumer ? [consumer.name] : [];
  for (const each of [...ids, ...names]) await tx.records.forget(each);
  for (const each of [...ids, address]) await tx.outbox.forget(each);
  // Counters bear the consumer's name and its keys', which begin with it.
  for (const each of [id, address, ...names]) await tx.quotas.forget(each);
  if (consumer) await tx.consumers.remove(consumer.name);
  await tx.accounts.remove(id);
  await tx.outbox.add({ topic: ERASURE_TOPIC, payload: { account: id, address } });
}

export interface ErasureParts {
  readonly files: Pick<MailFiles, 'forget'>;
  /** Empties the database's journal. @returns false where somebody still reads from it. */
  readonly truncateJournal: () => Promise<boolean>;
}

/** Removes what lies outside the database. May be done again. */
export async function completeErasure(
  { files, truncateJournal }: ErasureParts,
  { account, address }: Erased,
): Promise<void> {
  await files.forget(account);
  await files.forget(address);
  await truncateJournal();
}

/** Takes the messages of `ERASURE_TOPIC`. */
export function erasures(parts: ErasureParts): Deliver {
  return (payload) => completeErasure(parts, payload as unknown as Erased);
}
