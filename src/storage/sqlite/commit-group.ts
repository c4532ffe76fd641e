/**
 * One commit for one turn of the event loop: every bare nonce, every bare charge of a quota and every unit of work
 * that was asked for in it.
 *
 * A turn of bare nonces and charges alone commits with `synchronous=NORMAL`: killing the process loses nothing, and the fence
 * (replay/fence.ts) closes what a power loss may take. A turn that holds work that somebody relies on commits with
 * FULL, and is answered after its sync; the one sync serves the whole turn.
 * @module
 */
import { CountersignError } from '../../errors.ts';
import type { Quota, QuotaVerdict } from '../../limits/quotas.ts';
import type { Nonce, NonceStore, NonceVerdict } from '../../replay/nonces.ts';
import type { CommitGroup, Transaction } from '../unit-of-work.ts';
import type { Database, Statement } from './database.ts';
import {
  beforeNextTurn,
  isStoreFailure,
  type Life,
  type TransactionParts,
  transactionOf,
} from './transaction.ts';
import { WriteLock } from './write-lock.ts';

interface Claim {
  readonly nonce: Nonce;
  readonly resolve: (verdict: NonceVerdict) => void;
  readonly reject: (error: CountersignError) => void;
}

interface Charge {
  readonly quotas: readonly Quota[];
  readonly resolve: (verdict: QuotaVerdict) => void;
  readonly reject: (error: CountersignError) => void;
}

interface Job {
  readonly name: string;
  readonly work: (tx: Transaction) => unknown;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

type Outcome =
  | { readonly job: Job; readonly result: unknown }
  | { readonly job: Job; readonly error: unknown };

/** What the metrics see of commits. */
export interface CommitObserver {
  committed(claims: number, jobs: number, seconds: number): void;
  failed(error: unknown): void;
}

export interface CommitGroupParts extends TransactionParts {
  readonly database: Database;
  /** Told which consumers other processes, or this one, have changed. */
  readonly onChange: (consumer: string) => void;
  /** Told where it can't be said any more which consumers were changed: any may have been. */
  readonly onMissed?: (() => void) | undefined;
  readonly observer: CommitObserver;
}

export class SqliteCommitGroup implements CommitGroup, NonceStore {
  private claims: Claim[] = [];
  private charges: Charge[] = [];
  private jobs: Job[] = [];
  private scheduled = false;
  private readonly parts: CommitGroupParts;
  private readonly lock: WriteLock;
  private readonly commit: Statement;
  private readonly rollback: Statement;
  private readonly savepoint: Statement;
  private readonly release: Statement;
  private readonly rollbackTo: Statement;
  private readonly dataVersion: Statement;
  private readonly selectChanges: Statement;
  private readonly oldestChange: Statement;
  private synchronous: 'NORMAL' | 'FULL' | undefined;
  private seenVersion = -1;
  private lastChange: number;

  constructor(parts: CommitGroupParts) {
    const { database } = parts;
    this.parts = parts;
    this.lock = new WriteLock(database);
    this.commit = database.prepare('COMMIT');
    this.rollback = database.prepare('ROLLBACK');
    this.savepoint = database.prepare('SAVEPOINT work');
    this.release = database.prepare('RELEASE work');
    this.rollbackTo = database.prepare('ROLLBACK TO work');
    this.dataVersion = database.prepare('PRAGMA data_version').pluck();
    this.selectChanges = database.prepare('SELECT id, consumer FROM changes WHERE id > ? ORDER BY id');
    this.oldestChange = database.prepare('SELECT min(id) FROM changes').pluck();
    this.lastChange = database.prepare('SELECT coalesce(max(id), 0) FROM changes').pluck().get() as number;
  }

  claim(nonce: Nonce): Promise<NonceVerdict> {
    return new Promise((resolve, reject) => {
      this.claims.push({ nonce, resolve, reject });
      this.schedule();
    });
  }

  charge(quotas: readonly Quota[]): Promise<QuotaVerdict> {
    return new Promise((resolve, reject) => {
      this.charges.push({ quotas, resolve, reject });
      this.schedule();
    });
  }

  run<T>(name: string, work: (tx: Transaction) => T | Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.jobs.push({ name, work, resolve: resolve as (result: unknown) => void, reject });
      this.schedule();
    });
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(this.turn);
  }

  private readonly turn = (): void => {
    const { claims, charges, jobs } = this;
    this.claims = [];
    this.charges = [];
    this.jobs = [];
    if (jobs.length === 0) {
      this.scheduled = false;
      this.commitBare(claims, charges);
    } else {
      // The next turn is not scheduled before this one has ended: there is one transaction at a time.
      this.commitWork(claims, charges, jobs).finally(() => {
        this.scheduled = false;
        if (this.claims.length + this.charges.length + this.jobs.length > 0) this.schedule();
      });
    }
  };

  private commitBare(claims: Claim[], charges: Charge[]): void {
    const started = performance.now();
    const { nonces, quotas } = this.parts;
    const verdicts: NonceVerdict[] = [];
    let charged: QuotaVerdict[];
    try {
      this.setSynchronous('NORMAL');
      this.lock.take();
      this.follow();
      for (const { nonce } of claims) verdicts.push(nonces.claim(nonce));
      charged = charges.map((charge) => quotas.charge(charge.quotas));
      this.append();
      this.commit.run();
    } catch (error) {
      const refusal = this.fail(error);
      for (const { reject } of claims) reject(refusal);
      for (const { reject } of charges) reject(refusal);
      return;
    }
    this.committed();
    for (let i = 0; i < claims.length; i++) (claims[i] as Claim).resolve(verdicts[i] as NonceVerdict);
    for (let i = 0; i < charges.length; i++) (charges[i] as Charge).resolve(charged[i] as QuotaVerdict);
    this.parts.observer.committed(claims.length, 0, (performance.now() - started) / 1000);
  }

  private async commitWork(claims: Claim[], charges: Charge[], jobs: Job[]): Promise<void> {
    const started = performance.now();
    const { nonces, quotas } = this.parts;
    const verdicts: NonceVerdict[] = [];
    let charged: QuotaVerdict[];
    const outcomes: Outcome[] = [];
    try {
      this.setSynchronous('FULL');
      this.lock.take();
      this.follow();
      for (const { nonce } of claims) verdicts.push(nonces.claim(nonce));
      charged = charges.map((charge) => quotas.charge(charge.quotas));
      for (const job of jobs) outcomes.push(await this.attempt(job));
      this.append();
      this.commit.run();
    } catch (error) {
      const refusal = this.fail(error);
      for (const { reject } of claims) reject(refusal);
      for (const { reject } of charges) reject(refusal);
      for (const { reject } of jobs) reject(refusal);
      return;
    }
    this.committed();
    this.followOwnChanges();
    claims.forEach((claim, i) => {
      claim.resolve(verdicts[i] as NonceVerdict);
    });
    charges.forEach((charge, i) => {
      charge.resolve(charged[i] as QuotaVerdict);
    });
    for (const outcome of outcomes) {
      if ('error' in outcome) outcome.job.reject(outcome.error);
      else outcome.job.resolve(outcome.result);
    }
    this.parts.observer.committed(claims.length, jobs.length, (performance.now() - started) / 1000);
  }

  /** What the turn claimed and charged, outside the savepoints of its work. */
  private append(): void {
    this.parts.nonces.append();
    this.parts.quotas.append();
  }

  private committed(): void {
    this.parts.nonces.committed();
    this.parts.quotas.ended();
  }

  /** At the beginning of a turn, where a failure is the turn's, never at its end. */
  private setSynchronous(level: 'NORMAL' | 'FULL'): void {
    if (level === this.synchronous) return;
    this.parts.database.pragma(`synchronous = ${level}`);
    this.synchronous = level;
  }

  /** One piece of work in its savepoint. Its failure is its own; a failure of the store is thrown to the turn. */
  private async attempt(job: Job): Promise<Outcome> {
    const life: Life = { over: false, storeFailure: undefined };
    this.savepoint.run();
    let outcome: Outcome;
    try {
      const tx = transactionOf(job.name, this.parts, life);
      outcome = { job, result: await beforeNextTurn(job.name, job.work(tx)) };
    } catch (error) {
      if (isStoreFailure(error)) throw error;
      outcome = { job, error };
    } finally {
      life.over = true;
    }
    // Also where the work has caught it: the turn's transaction may be gone already.
    if (life.storeFailure) throw life.storeFailure;
    if ('error' in outcome) this.rollbackTo.run();
    this.release.run();
    return outcome;
  }

  /** Reads what other processes committed since this one last looked. One pragma where nobody did. */
  private follow(): void {
    const version = this.dataVersion.get() as number;
    if (version === this.seenVersion) return;
    this.parts.nonces.follow();
    // Ids have no gaps, and only the oldest rows are ever removed: where the next one is gone, changes were missed.
    const oldest = this.oldestChange.get() as number | null;
    if (oldest !== null && oldest > this.lastChange + 1) this.parts.onMissed?.();
    this.followChanges();
    this.seenVersion = version;
  }

  /**
   * After the commit, since ids of changes that were rolled back may come again, from another process. A failure
   * can't undo the commit any more, so it is not the callers': the next turn follows anew.
   */
  private followOwnChanges(): void {
    try {
      this.followChanges();
    } catch (error) {
      this.seenVersion = -1;
      this.parts.observer.failed(error);
    }
  }

  private followChanges(): void {
    for (const { id, consumer } of this.selectChanges.all(this.lastChange) as {
      id: number;
      consumer: string;
    }[]) {
      this.parts.onChange(consumer);
      this.lastChange = id;
    }
  }

  private fail(error: unknown): CountersignError {
    this.parts.nonces.rolledBack();
    this.parts.quotas.ended();
    this.parts.observer.failed(error);
    try {
      if (this.parts.database.inTransaction) this.rollback.run();
    } catch (rollbackError) {
      // The next turn can't begin then, and tries this again.
      this.parts.observer.failed(rollbackError);
    }
    return new CountersignError(
      'store-unavailable',
      "The store can't answer, so nothing is served. Whether this message was used is unknown: send it again as it is, or sign it afresh.",
      { cause: error, members: { outcome: 'unknown' }, headers: { 'Retry-After': '1' } },
    );
  }
}
