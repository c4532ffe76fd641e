/**
 * The unit of work: what commits together, or not at all. The same port for every database.
 * @module
 */
import type { AccountChanges, AccountReader } from '../accounts/account.ts';
import type { AuditTrail } from '../audit/audit.ts';
import type { ConsumerChanges, ConsumerReader } from '../consumers/consumer.ts';
import type { DeniedCertificateChanges } from '../consumers/denied-certificates.ts';
import type { Outbox } from '../idempotency/outbox.ts';
import type { DoneRecords } from '../idempotency/records.ts';
import type { Documents } from '../idempotency/state.ts';
import type { QuotaCharges } from '../limits/quotas.ts';
import type { NonceClaims } from '../replay/nonces.ts';

/** Valid until the work that got it settles; used later, it throws. */
export interface Transaction {
  readonly nonces: NonceClaims;
  readonly consumers: ConsumerReader & ConsumerChanges;
  readonly accounts: AccountReader & AccountChanges;
  readonly deniedCertificates: DeniedCertificateChanges;
  readonly records: DoneRecords;
  readonly audit: AuditTrail;
  readonly quotas: QuotaCharges;
  /** What endpoints of a host program keep. */
  readonly state: Documents;
  /** Effects elsewhere, which begin once this has committed. */
  readonly outbox: Outbox;
}

export interface CommitGroup {
  /**
   * Runs the work inside a transaction, shared with all else that this turn of the event loop asked for, each in a
   * savepoint of its own. The work awaits nothing but `tx`; on SQLite one that hasn't settled before the next
   * `setImmediate` is rolled back and named. Resolves once the commit is durable (synced to the disk); rejects with
   * the work's own error, of which nothing stays but the nonces that it claimed and the quotas that it charged, or
   * with `store-unavailable`.
   */
  run<T>(name: string, work: (tx: Transaction) => T | Promise<T>): Promise<T>;
}
