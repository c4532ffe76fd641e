/**
 * Runs an endpoint once: nonce or key, effect, result and audit row in one unit of work, or none of them.
 * @module
 */
import { createHash, randomUUID } from 'node:crypto';
import type { AuditTrail } from '../audit/audit.ts';
import { CountersignError } from '../errors.ts';
import { KEPT_BEYOND, type Nonce, type NonceClaims } from '../replay/nonces.ts';
import type { Authorized } from '../security/authorize.ts';
import type { EndpointResult, IdempotentEndpoint } from './endpoint.ts';
import { messageKey, type Outbox } from './outbox.ts';
import type { DoneRecord, DoneRecords } from './records.ts';

/** What a unit of work must offer for an endpoint to be run in it. */
export interface EndpointTransaction {
  readonly nonces: NonceClaims;
  readonly records: DoneRecords;
  readonly audit: AuditTrail;
  readonly outbox: Outbox;
}

/** Seals and opens stored results: they may hold what only the caller should see. */
export interface ResultSealing {
  seal(recordId: string, result: Buffer): Buffer;
  open(recordId: string, sealed: Buffer): Buffer;
}

/** What makes a second call the same call. */
export type CallIdentity =
  /** Nothing does: its nonce is claimed already, and the call is one that may be repeated by definition. */
  | { readonly by: 'once' }
  | { readonly by: 'nonce'; readonly nonce: Nonce }
  | { readonly by: 'key'; readonly key: string; readonly principal: string };

export interface EndpointCall<I, Role extends string, Tx = unknown> {
  readonly identity: CallIdentity;
  /** From `fingerprintOf`: another request under the same key is refused by it. */
  readonly fingerprint: string;
  /** As it came in; the endpoint's schema checks it. */
  readonly input: I;
  /** Epoch seconds. */
  readonly now: number;
  /** The key that signed; undefined where a person calls, or somebody who isn't known. */
  readonly keyid: string | undefined;
  readonly actor: string;
  readonly requestId: string;
  /**
   * Asked inside the transaction, once it has followed every change: what the caller may do now. Throws where it may
   * not do this any more, also where it did it before and asks for the result.
   */
  readonly authorize: (tx: Tx) => Authorized<Role> | Promise<Authorized<Role>>;
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
  /** Epoch seconds until which the result is kept; undefined where it isn't, or only for the message itself. */
  readonly keptUntil: number | undefined;
}

/** The commit group, or any other that runs work in a transaction. */
export interface UnitOfWork<Tx> {
  run<T>(name: string, work: (tx: Tx) => T | Promise<T>): Promise<T>;
}

export function runEndpoint<Tx extends EndpointTransaction, I, P, S, C, Role extends string>(
  unitOfWork: UnitOfWork<Tx>,
  endpoint: IdempotentEndpoint<Tx, I, P, S, C, Role>,
  call: EndpointCall<I, Role, Tx>,
  options: RunOptions,
): Promise<RunOutcome> {
  const { identity } = call;
  const id = recordId(identity);
  const ownKeptUntil = identity.by === 'key' ? call.now + options.keyLife : undefined;
  return unitOfWork.run(endpoint.name, async (shared) => {
    const tx = withDerivedKeys(shared, id);
    const known = await firstRecord(tx, id, call);
    const context = await call.authorize(shared);
    if (known) {
      const keptUntil = identity.by === 'key' ? known.keptUntil : undefined;
      return { result: opened(id, known, options.sealing), replayed: true, keptUntil };
    }

    const circumstances = { context, now: call.now };
    // After the record was looked for: a time that was good when it was first sent is in the past at a retry.
    const parameters = endpoint.parameters(call.input, circumstances);
    const state = await endpoint.loadState(tx, parameters, circumstances);
    const changes = endpoint.updateState(state, parameters, circumstances);
    await endpoint.apply(tx, changes, context);
    const result = endpoint.getResponse(changes, parameters);
    const told = endpoint.audit(changes, parameters);
    await store(tx, id, endpoint, { ...call, subject: told.subject }, result, options);
    const { actor, keyid, requestId } = call;
    const event = { actor, action: endpoint.name, ...(keyid !== undefined && { keyid }), requestId };
    await tx.audit.append({ ...event, ...told });
    return { result, replayed: false, keptUntil: ownKeptUntil };
  });
}

/** Messages that an endpoint sends get keys from its call, so that they are known again wherever they were delivered. */
function withDerivedKeys<Tx extends EndpointTransaction>(tx: Tx, id: string): Tx {
  let sent = 0;
  const outbox: Outbox = {
    add: (message) => tx.outbox.add({ key: messageKey(id, sent++), ...message }),
    forget: (subject) => tx.outbox.forget(subject),
  };
  return { ...tx, outbox };
}

type Told = Pick<EndpointCall<never, never>, 'identity' | 'fingerprint' | 'now'>;

/** Not what holds a secret, unless the caller chose a key to ask for it by: captured bytes alone must not get it. */
async function store(
  tx: EndpointTransaction,
  id: string,
  { issuesSecret }: { readonly issuesSecret?: true },
  { identity, fingerprint, now, actor, subject }: Told & Pick<DoneRecord, 'actor' | 'subject'>,
  result: EndpointResult,
  { sealing, keyLife, skew }: RunOptions,
): Promise<void> {
  if (identity.by === 'once' || (identity.by === 'nonce' && issuesSecret)) return;
  const keptUntil = identity.by === 'key' ? now + keyLife : identity.nonce.expires + skew + KEPT_BEYOND;
  const sealedResult = sealing.seal(id, Buffer.from(JSON.stringify(result)));
  await tx.records.put(id, {
    fingerprint,
    status: 'done',
    sealedResult,
    begunAt: now,
    endedAt: now,
    ...(actor !== undefined && { actor }),
    ...(subject !== undefined && { subject }),
    keptUntil,
  });
}

/** Claims the nonce or finds the key. @returns the record of it where this call was carried out before. */
async function firstRecord(
  tx: EndpointTransaction,
  id: string,
  { identity, fingerprint, now }: Told,
): Promise<DoneRecord | undefined> {
  if (identity.by === 'once') return undefined;
  if (identity.by === 'nonce') return claimNonce(tx, id, identity.nonce, fingerprint, now);
  const record = await tx.records.find(id);
  if (!record || record.keptUntil <= now) return undefined;
  if (record.fingerprint !== fingerprint) throw mismatch();
  if (record.status !== 'done') throw inFlight();
  return record;
}

/**
 * Claims a nonce in the transaction of what it stands for.
 * @returns undefined where it was fresh, and else the record of the same message.
 * @throws nonce-replayed where it has none, or was used by another message; signature-expired.
 */
export async function claimNonce(
  tx: Pick<EndpointTransaction, 'nonces' | 'records'>,
  id: string,
  nonce: Nonce,
  fingerprint: string,
  now: number,
): Promise<DoneRecord | undefined> {
  const verdict = await tx.nonces.claim(nonce);
  if (verdict === 'claimed') return undefined;
  if (verdict === 'expired') {
    throw new CountersignError(
      'signature-expired',
      'The message is older than what is remembered of nonces; sign again.',
      { members: { 'server-time': now } },
    );
  }
  const record = await tx.records.find(id);
  if (record?.fingerprint === fingerprint) return record;
  throw new CountersignError(
    'nonce-replayed',
    record
      ? 'This nonce was used before, by another request. Sign again with a new nonce.'
      : 'This nonce was used before, by a call that stored no result. Sign again with a new nonce.',
  );
}

export function mismatch(): CountersignError {
  return new CountersignError(
    'idempotency-mismatch',
    'This Idempotency-Key was used for another request; take a new key for new work.',
  );
}

export function inFlight(): CountersignError {
  return new CountersignError('idempotency-in-flight', 'The first call is still running.', {
    headers: { 'Retry-After': '1' },
  });
}

function opened(id: string, { sealedResult }: DoneRecord, sealing: ResultSealing): EndpointResult {
  return JSON.parse(sealing.open(id, sealedResult as Buffer).toString()) as EndpointResult;
}

/** A record belongs to one nonce of one key, or to one Idempotency-Key of one principal. */
export function recordId(identity: CallIdentity): string {
  return hashed(partsOf(identity));
}

function partsOf(identity: CallIdentity): readonly string[] {
  switch (identity.by) {
    case 'nonce':
      return ['nonce', identity.nonce.keyid, identity.nonce.value];
    case 'key':
      return ['key', identity.principal, identity.key];
    case 'once':
      return ['once', randomUUID()];
  }
}

/** What a request is, apart from its signature: method, raw target, digest, and every covered field that is forwarded. */
export function fingerprintOf(parts: readonly string[]): string {
  return hashed(parts);
}

function hashed(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}
