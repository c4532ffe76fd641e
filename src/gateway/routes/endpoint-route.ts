/**
 * Joins an idempotent endpoint to the pipeline: what it is asked, what makes a second call the same call, and how
 * its result is sent.
 * @module
 */
import { type Clock, epochSeconds } from '../../clock.ts';
import type { KeyDirectory } from '../../consumers/key-directory.ts';
import type { KeyVault } from '../../consumers/key-vault.ts';
import { CountersignError } from '../../errors.ts';
import type { IdempotentEndpoint } from '../../idempotency/endpoint.ts';
import { type CallIdentity, fingerprintOf, runEndpoint } from '../../idempotency/run.ts';
import { authorize } from '../../security/authorize.ts';
import { pathOf } from '../../signatures/components.ts';
import { parseItem } from '../../signatures/structured-fields.ts';
import type { VerifiedRequest } from '../../signatures/verify-request.ts';
import type { CommitGroup, Transaction } from '../../storage/unit-of-work.ts';
import { type Context, callerOf, type Route } from '../call.ts';
import { readJson } from '../json-body.ts';
import { activeKey } from '../middleware/claim-nonce.ts';
import { sendJson } from './own.ts';

export interface EndpointParts {
  readonly clock: Clock;
  readonly keys: KeyDirectory;
  readonly commitGroup: CommitGroup;
  readonly vault: KeyVault;
  /** Seconds by which clocks may differ. */
  readonly skew: number;
  /** Seconds for which a result is kept under an Idempotency-Key. */
  readonly keyLife: number;
}

/** What an endpoint's schema is given to check. */
export interface EndpointInput {
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  /** Undefined where there is no body. */
  readonly body: unknown;
  readonly ifMatch: string | undefined;
}

export function endpointRoute<P, S, C, Role extends string>(
  endpoint: IdempotentEndpoint<Transaction, P, S, C, Role>,
  parts: EndpointParts,
): Route {
  return {
    name: endpoint.name,
    credential: 'signature',
    role: endpoint.role,
    idempotency: endpoint.idempotency,
    conditions: true,
    encodedSlash: false,
    answer: (ctx) => answer(ctx, endpoint, parts),
  };
}

async function answer<P, S, C, Role extends string>(
  ctx: Context,
  endpoint: IdempotentEndpoint<Transaction, P, S, C, Role>,
  { clock, keys, commitGroup, vault, skew, keyLife }: EndpointParts,
): Promise<void> {
  const { state } = ctx;
  const { message, requestId, actor } = state;
  const { keyid } = (state.verified as VerifiedRequest).parameters;
  if (endpoint.issuesSecret && !state.local && message.scheme !== 'https') {
    throw new CountersignError(
      'key-forbidden',
      'The answer would hold a secret; call over TLS, or on the same machine.',
    );
  }
  const identity = identityOf(ctx, endpoint.idempotency);
  const input = readInput(ctx);
  const circumstances = { context: authorize(callerOf(ctx), endpoint.role), now: epochSeconds(clock) };
  // From here on the unit of work claims the nonce, whatever becomes of the rest.
  const unitOfWork = {
    run<T>(name: string, work: (tx: Transaction) => T | Promise<T>): Promise<T> {
      state.claimed = true;
      return commitGroup.run(name, work);
    },
  };
  const sealing = {
    seal: (id: string, result: Buffer) => vault.seal('result', id, result),
    open: (id: string, sealed: Buffer) => vault.open('result', id, sealed),
  };
  const call = {
    identity,
    fingerprint: fingerprint(ctx),
    input,
    circumstances,
    keyid,
    actor,
    requestId,
    checkCaller: () => void activeKey(keys, keyid, circumstances.now),
  };
  const { result, replayed } = await runEndpoint(unitOfWork, endpoint, call, { sealing, keyLife, skew });
  ctx.status = result.status;
  for (const [name, value] of Object.entries(result.headers ?? {})) ctx.set(name, value);
  if (replayed) ctx.set('Idempotent-Replayed', 'true');
  if (result.body !== undefined) sendJson(ctx, result.body);
}

const MOST_KEY = 255;

function identityOf(ctx: Context, idempotency: 'nonce' | 'key'): CallIdentity {
  const { message, verified } = ctx.state;
  const field = message.fields.get('idempotency-key');
  if (field !== undefined) {
    return { by: 'key', key: readIdempotencyKey(field), principal: callerOf(ctx).principal };
  }
  if (idempotency === 'key') {
    throw new CountersignError(
      'idempotency-key-missing',
      'Send an Idempotency-Key, so that a retry is known as one.',
    );
  }
  const { keyid, nonce, created, expires } = (verified as VerifiedRequest).parameters;
  return { by: 'nonce', nonce: { keyid, value: nonce, created, expires } };
}

/** A structured-field string (draft-ietf-httpapi-idempotency-key-header, section 2.1). */
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

/** Method, raw target, digest and every covered field that bears meaning. */
function fingerprint(ctx: Context): string {
  const { message, verified } = ctx.state;
  const { components, values } = (verified as VerifiedRequest).covered;
  const fields = components.flatMap(({ name, id }, i) =>
    name.startsWith('@') || name === 'idempotency-key' ? [] : [id, values[i] as string],
  );
  return fingerprintOf([message.method, message.target, ...fields]);
}

function readInput(ctx: Context): EndpointInput {
  const { state } = ctx;
  const { target, fields } = state.message;
  const query = new URLSearchParams(target.slice(pathOf(target).length + 1));
  return {
    params: state.params,
    query: Object.fromEntries(query),
    body: state.body.length > 0 ? readJson(state.body) : undefined,
    ifMatch: fields.get('if-match'),
  };
}
