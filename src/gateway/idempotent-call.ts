/**
 * What makes a second call the same call, and the unit of work in which a call claims its nonce.
 * @module
 */
import { CountersignError } from '../errors.ts';
import { type CallIdentity, fingerprintOf, type UnitOfWork } from '../idempotency/run.ts';
import { contentDigest } from '../signatures/content-digest.ts';
import { parseItem } from '../signatures/structured-fields.ts';
import type { CommitGroup, Transaction } from '../storage/unit-of-work.ts';
import { type CallState, type Context, callerOf } from './call.ts';
import { payingTransaction } from './middleware/limit-consumer.ts';

/** Until when the outcome under an Idempotency-Key is known, in epoch seconds. Covered by the answer's signature. */
export const KEY_EXPIRES = 'Countersign-Idempotency-Expires';

const MOST_KEY = 255;

/**
 * `idempotency-key-missing` where a key is demanded: by the class for POST and PATCH, which HTTP doesn't let one
 * repeat, and of every call that isn't signed.
 */
export function identityOf(ctx: Context, idempotency: 'nonce' | 'key'): CallIdentity {
  const { message, verified } = ctx.state;
  const field = message.fields.get('idempotency-key');
  if (field !== undefined) {
    return { by: 'key', key: readIdempotencyKey(field), principal: ownerOf(ctx) };
  }
  if (idempotency === 'nonce' && verified) {
    const { keyid, nonce, created, expires } = verified.parameters;
    return { by: 'nonce', nonce: { keyid, value: nonce, created, expires } };
  }
  if (!verified || message.method === 'POST' || message.method === 'PATCH') {
    throw new CountersignError(
      'idempotency-key-missing',
      'Send an Idempotency-Key, so that a retry is known as one.',
    );
  }
  return { by: 'once' };
}

/** The same where nobody is known: the key is optional, and its record belongs to whom the endpoint names. */
export function openIdentityOf({ state }: Context, owner: string): CallIdentity {
  const field = state.message.fields.get('idempotency-key');
  if (field === undefined) return { by: 'once' };
  return { by: 'key', key: readIdempotencyKey(field), principal: `open ${state.route.name} ${owner}` };
}

/** Whose record it is. The name with its pseudonymous id: a name that was removed may be given to somebody else. */
export function ownerOf(ctx: Context): string {
  return `${callerOf(ctx).principal} ${ctx.state.actor}`;
}

/** A structured-field string (draft-ietf-httpapi-idempotency-key-header-07, section 2.1). */
export function readIdempotencyKey(field: string): string {
  const invalid = () =>
    new CountersignError(
      'idempotency-key-invalid',
      `Idempotency-Key must be one string in double quotes, of 1 to ${MOST_KEY} characters.`,
    );
  let key: unknown;
  try {
    const { bare } = parseItem(field);
    key = bare.type === 'string' ? bare.value : undefined;
  } catch {
    throw invalid();
  }
  if (typeof key !== 'string' || key.length === 0 || key.length > MOST_KEY) throw invalid();
  return key;
}

/**
 * Method, raw target, digest and the covered fields that bear meaning, in whatever order the signature names them. Of
 * an unsigned call the digest is taken here.
 * @param counts whether a field does.
 */
export function fingerprint({ state }: Context, counts: (name: string) => boolean = () => true): string {
  const { message, verified } = state;
  if (!verified) return fingerprintOf([message.method, message.target, contentDigest(state.body)]);
  const { components, values } = verified.covered;
  const fields = components
    .map(({ name, id }, i) => ({ name, id, value: values[i] as string }))
    .filter(({ name }) => !name.startsWith('@') && name !== 'idempotency-key' && counts(name))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  return fingerprintOf([message.method, message.target, ...fields.flatMap(({ id, value }) => [id, value])]);
}

/** Claims the call's nonce, and pays what the call owes, whatever becomes of the rest. */
export function claimingUnitOfWork(state: CallState, commitGroup: CommitGroup): UnitOfWork<Transaction> {
  return {
    run(name, work) {
      state.claimed = true;
      return commitGroup.run(name, (tx) => work(payingTransaction(tx, state)));
    },
  };
}
