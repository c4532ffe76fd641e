/**
 * Work that can't be in the transaction of its record, such as a call to an upstream: it is recorded before it begins
 * and again when it ends. Whatever comes between leaves its outcome unknown, and the record says so.
 * @module
 */
import { type Clock, epochSeconds } from '../clock.ts';
import { CountersignError } from '../errors.ts';
import { KEPT_BEYOND, type NonceClaims } from '../replay/nonces.ts';
import type { Owner, OwnerName } from './owner.ts';
import type { DoneRecord, DoneRecords } from './records.ts';
import {
  type CallIdentity,
  claimNonce,
  inFlight,
  mismatch,
  type ResultSealing,
  recordId,
  type UnitOfWork,
} from './run.ts';

/** What a unit of work must offer for an operation to be recorded in it. */
export interface OperationTransaction {
  readonly nonces: NonceClaims;
  readonly records: DoneRecords;
}

export interface OperationAnswer {
  readonly status: number;
  /** In order, a name once but for Set-Cookie. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

export interface OperationCall {
  readonly identity: Exclude<CallIdentity, { readonly by: 'once' }>;
  readonly fingerprint: string;
  readonly method: string;
  /** The caller's pseudonymous id. */
  readonly actor: string;
  /** Milliseconds after which it is given up. */
  readonly timeoutMs: number;
  /** Asked inside the transaction, as that of an endpoint: throws where the caller may not do this, or not any more. */
  readonly authorize: () => void;
}

/** An operation that is under way. */
export interface Attempt {
  readonly id: string;
  readonly owner: OwnerName;
  /** Epoch seconds until which its outcome is known. */
  readonly keptUntil: number;
}

export type Beginning =
  | { readonly begun: Attempt }
  /** It was carried out before, and this is its answer. */
  | { readonly first: OperationAnswer; readonly keptUntil: number };

export interface OperationsParts {
  readonly owner: Owner;
  readonly clock: Clock;
  readonly sealing: ResultSealing;
  /** Seconds for which an outcome is kept under an Idempotency-Key. */
  readonly keyLife: number;
  /** Seconds by which clocks may differ. */
  readonly skew: number;
  /** Bytes of an answer's body that are kept; of a longer one only the status is. */
  readonly mostBody: number;
}

/** Safe or idempotent by definition (RFC 9110 section 9.2): what is unknown may be done again. */
const MAY_BE_REPEATED = new Set(['GET', 'HEAD', 'PUT', 'DELETE']);
const CHANGES_NOTHING = new Set(['GET', 'HEAD']);
/** Seconds for the commits before and after. */
const MARGIN = 30;

export class Operations {
  private readonly parts: OperationsParts;

  constructor(parts: OperationsParts) {
    this.parts = parts;
  }

  /**
   * Records that the operation begins, or finds what became of it. Resolves once that is durable.
   *
   * Rejects with `idempotency-mismatch`, `idempotency-in-flight`, `outcome-unknown`, with `conflict` where it was done
   * and its answer wasn't kept, and under a nonce with `nonce-replayed` and `signature-expired`.
   */
  async begin<Tx extends OperationTransaction>(
    unitOfWork: UnitOfWork<Tx>,
    call: OperationCall,
  ): Promise<Beginning> {
    const { owner, clock } = this.parts;
    const id = recordId(call.identity);
    const name = owner.begin();
    try {
      const beginning = await unitOfWork.run('begin an operation', async (tx): Promise<Beginning> => {
        const now = epochSeconds(clock);
        const known = await this.find(tx, id, call, now);
        call.authorize();
        if (known) {
          const first = this.judge(id, known, call, now);
          if (first) return { first, keptUntil: known.keptUntil };
        }
        const runsUntil = now + Math.ceil(call.timeoutMs / 1000) + MARGIN;
        const keptUntil = Math.max(runsUntil, this.endOfLife(call, now), known?.keptUntil ?? 0);
        const { fingerprint, actor } = call;
        await tx.records.put(id, {
          fingerprint,
          status: 'running',
          owner: name,
          begunAt: now,
          runsUntil,
          actor,
          keptUntil,
        });
        return { begun: { id, owner: name, keptUntil } };
      });
      if ('first' in beginning) owner.end(name);
      return beginning;
    } catch (error) {
      owner.end(name);
      throw error;
    }
  }

  /** It ended with this answer. @throws store-unavailable, after which nobody may believe in the answer. */
  finish<Tx extends OperationTransaction>(
    unitOfWork: UnitOfWork<Tx>,
    attempt: Attempt,
    { status, headers, body }: OperationAnswer,
  ): Promise<void> {
    const { sealing, mostBody } = this.parts;
    const kept = body.length <= mostBody ? { headers, body: body.toString('base64') } : {};
    const sealedResult = sealing.seal(attempt.id, Buffer.from(JSON.stringify({ status, ...kept })));
    return this.end(unitOfWork, attempt, (record, endedAt) => ({
      ...record,
      status: 'done',
      sealedResult,
      endedAt,
    }));
  }

  /** It ended, and nobody knows how. */
  leave<Tx extends OperationTransaction>(unitOfWork: UnitOfWork<Tx>, attempt: Attempt): Promise<void> {
    return this.end(unitOfWork, attempt, (record, endedAt) => ({ ...record, status: 'unknown', endedAt }));
  }

  /** It is known not to have happened: nothing is remembered of it. */
  forget<Tx extends OperationTransaction>(unitOfWork: UnitOfWork<Tx>, attempt: Attempt): Promise<void> {
    return this.end(unitOfWork, attempt, () => undefined);
  }

  /** What is known of a record: one that is running, as it says, may have been abandoned by a crash. */
  standing(record: DoneRecord): DoneRecord['status'] {
    if (record.status !== 'running') return record.status;
    const { owner, clock } = this.parts;
    const overdue = record.runsUntil !== undefined && record.runsUntil <= epochSeconds(clock);
    const running = record.owner !== undefined && owner.mayRun(record.owner) && !overdue;
    return running ? 'running' : 'unknown';
  }

  /** The status of the answer, where one is stored. */
  resultStatus(id: string, { sealedResult }: DoneRecord): number | undefined {
    return sealedResult && this.opened(id, sealedResult).status;
  }

  private async find(
    tx: OperationTransaction,
    id: string,
    { identity, fingerprint }: OperationCall,
    now: number,
  ): Promise<DoneRecord | undefined> {
    if (identity.by === 'nonce') return claimNonce(tx, id, identity.nonce, fingerprint, now);
    const record = await tx.records.find(id);
    return record && record.keptUntil > now ? record : undefined;
  }

  /** @returns the answer to give again; undefined where the operation is to be carried out. */
  private judge(
    id: string,
    record: DoneRecord,
    { identity, fingerprint, method }: OperationCall,
    now: number,
  ): OperationAnswer | undefined {
    if (record.fingerprint !== fingerprint) throw mismatch();
    const standing = this.standing(record);
    if (standing === 'running') throw inFlight();
    const ask = identity.by === 'key' ? { key: identity.key, operation: operationPath(identity.key) } : {};
    if (standing === 'unknown') {
      // The same bytes again may be somebody else's doing, who kept them: only a message that was signed anew counts.
      if (identity.by === 'key' && MAY_BE_REPEATED.has(method)) return undefined;
      throw new CountersignError(
        'outcome-unknown',
        'The first call may have taken effect or not: no complete answer of the upstream arrived. Find out there, and take a new Idempotency-Key to do it again.',
        { members: { ...ask, begun: record.begunAt, 'server-time': now } },
      );
    }
    const { status, headers, body } = this.opened(id, record.sealedResult as Buffer);
    if (headers && body !== undefined) return { status, headers, body: Buffer.from(body, 'base64') };
    if (identity.by === 'key' && CHANGES_NOTHING.has(method)) return undefined;
    throw new CountersignError(
      'conflict',
      `This was done, and answered with status ${status}; the answer was too large to be kept, so it can't be given again.`,
      { members: { ...ask, outcome: 'done', 'result-status': status } },
    );
  }

  private endOfLife({ identity }: OperationCall, now: number): number {
    const { keyLife, skew } = this.parts;
    return identity.by === 'key' ? now + keyLife : identity.nonce.expires + skew + KEPT_BEYOND;
  }

  private async end<Tx extends OperationTransaction>(
    unitOfWork: UnitOfWork<Tx>,
    { id, owner }: Attempt,
    change: (record: DoneRecord, now: number) => DoneRecord | undefined,
  ): Promise<void> {
    try {
      await unitOfWork.run('end an operation', async (tx) => {
        const record = await tx.records.find(id);
        // Another took it for abandoned and began anew, or it was purged: it isn't this attempt's any more.
        if (record?.status !== 'running' || record.owner !== owner) return;
        const changed = change(record, epochSeconds(this.parts.clock));
        if (changed) await tx.records.put(id, changed);
        else await tx.records.remove(id);
      });
    } finally {
      // Where its end couldn't be stored, it isn't running all the same: its outcome is unknown.
      this.parts.owner.end(owner);
    }
  }

  private opened(id: string, sealed: Buffer): StoredAnswer {
    return JSON.parse(this.parts.sealing.open(id, sealed).toString()) as StoredAnswer;
  }
}

interface StoredAnswer {
  readonly status: number;
  readonly headers?: OperationAnswer['headers'];
  /** Base64; undefined where it was too large. */
  readonly body?: string;
}

/** Where the gateway tells what is known of a key. */
function operationPath(key: string): string {
  return `/v1/operations/${encodeURIComponent(key)}`;
}
