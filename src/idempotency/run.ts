/**
 * Runs an endpoint once: nonce or key, effect, result and audit row in one unit of work, or none of them.
 * @module
 */
import { createHash } from 'node:crypto';
import type { AuditTrail } from '../audit/audit.ts';
import { CountersignError } from '../errors.ts';
import { KEPT_BEYOND, type Nonce, type NonceClaims } from '../replay/nonces.ts';
import type { Circumstances, EndpointResult, IdempotentEndpoint } from './endpoint.ts';
import type { DoneRecord, DoneRecords } from './records.ts';

/** What a unit of work must offer for an endpoint to be run in it. */
export interface EndpointTransaction {
  readonly nonces: NonceClaims;
  readonly records: DoneRecords;
  readonly audit: AuditTrail;
}

/** Seals and opens stored results: they may hold what only the caller should see. */
export interface ResultSealing {
  seal(recordId: string, result: Buffer): Buffer;
  open(recordId: string, sealed: Buffer): Buffer;
}

/** What makes a second call the same call. */
export type CallIdentity =
  | { readonly by: 'nonce'; readonly nonce: Nonce }
  | { readonly by: 'key'; readonly key: string; readonly principal: string };

export interface EndpointCall<Role extends string> {
  readonly identity: CallIdentity;
  /** From `fingerprintOf`: another request under the same key is refused by it. */
  readonly fingerprint: string;
  /** As it came in; the endpoint's schema checks it. */
  readonly input: unknown;
  readonly circumstances: Circumstances<Role>;
  readonly keyid: string;
  readonly actor: string;
  readonly requestId: string;
  /** Throws where the caller may not act any more, asked once the transaction has followed every change. */
  readonly checkCaller: () => void;
}

export interface RunOptions {
  readonly sealing: ResultSealing;
  /** Seconds for which a result is kept under an Idempotency-Key. */
  readonly keyLife: number;
  readonly skew: number;
}

export interface RunOutcome {
  readonly result: EndpointResult;
  /** The call was made before, and this is its first result. */
  readonly replayed: boolean;
}

/** The commit group, or any other that runs work in a transaction. */
export interface UnitOfWork<Tx> {
  run<T>(name: string, work: (tx: Tx) => T | Promise<T>): Promise<T>;
}

export async function runEndpoint<Tx extends EndpointTransaction, P, S, C, Role extends string>(
  unitOfWork: UnitOfWork<Tx>,
  endpoint: IdempotentEndpoint<Tx, P, S, C, Role>,
  call: EndpointCall<Role>,
  options: RunOptions,
): Promise<RunOutcome> {
  const { identity, circumstances, fingerprint } = call;
  // Before the transaction: what can't be read stores nothing under a key.
  const parameters = endpoint.parameters(call.input);
  const id = recordId(identity);
  return unitOfWork.run(endpoint.name, async (tx) => {
    const first = await firstResult(tx, id, call, options.sealing);
    call.checkCaller();
    if (first) return { result: first, replayed: true };

    const state = await endpoint.loadState(tx, parameters, circumstances);
    const changes = endpoint.updateState(state, parameters, circumstances);
    await endpoint.apply(tx, changes, circumstances.context);
    const result = endpoint.getResponse(changes, parameters);
    if (identity.by === 'key' || !endpoint.issuesSecret) {
      const keptUntil =
        identity.by === 'key'
          ? circumstances.now + options.keyLife
          : identity.nonce.expires + options.skew + KEPT_BEYOND;
      const sealedResult = options.sealing.seal(id, Buffer.from(JSON.stringify(result)));
      await tx.records.put(id, { fingerprint, status: 'done', sealedResult, keptUntil });
    }
    const { actor, keyid, requestId } = call;
    await tx.audit.append({
      actor,
      action: endpoint.name,
      keyid,
      requestId,
      ...endpoint.audit(changes, parameters),
    });
    return { result, replayed: false };
  });
}

/** Claims the nonce or finds the key. @returns the stored result where this call was carried out before. */
async function firstResult<Role extends string>(
  tx: EndpointTransaction,
  id: string,
  { identity, fingerprint, circumstances }: EndpointCall<Role>,
  sealing: ResultSealing,
): Promise<EndpointResult | undefined> {
  if (identity.by === 'nonce') {
    const verdict = await tx.nonces.claim(identity.nonce);
    if (verdict === 'claimed') return undefined;
    const record = verdict === 'replayed' ? await tx.records.find(id) : undefined;
    if (record?.sealedResult) return opened(id, record, sealing);
    if (verdict === 'expired') {
      throw new CountersignError(
        'signature-expired',
        'The message is older than what is remembered of nonces; sign again.',
        {
          members: { 'server-time': circumstances.now },
        },
      );
    }
    throw new CountersignError(
      'nonce-replayed',
      'This nonce was used before, by a call that stored no result. Sign again with a new nonce.',
    );
  }
  const record = await tx.records.find(id);
  if (!record || record.keptUntil <= circumstances.now) return undefined;
  if (record.fingerprint !== fingerprint) {
    throw new CountersignError(
      'idempotency-mismatch',
      'This Idempotency-Key was used for another request; take a new key for new work.',
    );
  }
  if (record.status === 'running') {
    throw new CountersignError('idempotency-in-flight', 'The first call under this key is still running.', {
      headers: { 'Retry-After': '1' },
    });
  }
  return opened(id, record, sealing);
}

function opened(id: string, record: DoneRecord, sealing: ResultSealing): EndpointResult {
  return JSON.parse(sealing.open(id, record.sealedResult as Buffer).toString()) as EndpointResult;
}

/** A record belongs to one nonce of one key, or to one Idempotency-Key of one principal. */
export function recordId(identity: CallIdentity): string {
  const parts =
    identity.by === 'nonce'
      ? ['nonce', identity.nonce.keyid, identity.nonce.value]
      : ['key', identity.principal, identity.key];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}

/** What a request is, apart from its signature: method, raw target, digest, and every covered field that is forwarded. */
export function fingerprintOf(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}
