/**
 * Joins an idempotent endpoint to the pipeline: what it is asked, what makes a second call the same call, and how
 * its result is sent.
 * @module
 */
import { createHmac } from 'node:crypto';
import { type Clock, epochSeconds } from '../../clock.ts';
import type { KeyDirectory } from '../../consumers/key-directory.ts';
import type { KeyVault } from '../../consumers/key-vault.ts';
import { CountersignError } from '../../errors.ts';
import type { IdempotentEndpoint } from '../../idempotency/endpoint.ts';
import { runEndpoint } from '../../idempotency/run.ts';
import { securityContext } from '../../security/security-context.ts';
import type { CommitGroup, Transaction } from '../../storage/unit-of-work.ts';
import {
  type Context,
  type CredentialKind,
  type Route,
  type RouteDescription,
  type RouteSchema,
  SIGNED,
} from '../call.ts';
import {
  claimingUnitOfWork,
  fingerprint,
  identityOf,
  KEY_EXPIRES,
  openIdentityOf,
} from '../idempotent-call.ts';
import { permit } from '../middleware/authorize-call.ts';
import { activeKey } from '../middleware/claim-nonce.ts';
import { currentContext } from '../person.ts';
import { type ApiInput, apiInput } from './api-input.ts';
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

/** Whoever calls an open endpoint. */
const ANYBODY = securityContext({ principal: 'anybody', roles: [] });

/** What comes in, with what was made of it before the unit of work began. */
export interface PreparedInput<X> extends ApiInput {
  /** What `prepare` returned; undefined where there is none. */
  readonly prepared: X;
}

/**
 * An endpoint of the gateway's API. `P` is what it makes of the input, `X` what its place prepares: written in the
 * type of the input, `parameters(input: PreparedInput<X>)`.
 */
export type Endpoint<P, S, C, Role extends string, X = undefined> = IdempotentEndpoint<
  Transaction,
  PreparedInput<X>,
  P,
  S,
  C,
  Role
>;

/** What the route says besides what the endpoint says itself. */
export interface EndpointPlace<X = undefined> {
  /** Null where the endpoint alone knows. */
  readonly schema: RouteSchema | null;
  readonly description: RouteDescription;
  readonly selfService?: true;
  /** Who is let in; services alone where it isn't said, and anybody with `none`. */
  readonly credential?: Route['credential'];
  readonly readsAuthorization?: true;
  /**
   * Whose record it is, under an Idempotency-Key of an open endpoint: whoever knows this and the key gets the first
   * result. Never an e-mail address in clear, but a MAC of it. Demanded of open endpoints, not asked of others.
   */
  owner?(input: ApiInput): string;
  /**
   * What takes long, or can't run in a transaction, such as a password's hash: awaited before the unit of work. It
   * runs at a repeated call too, before the record is looked for. May throw a refusal.
   */
  prepare?(input: ApiInput, ctx: Context): Promise<X>;
}

/**
 * A call by a token, a session or a password must carry an Idempotency-Key, which stands in for the nonce. At an open
 * endpoint it is optional: without one each call is another call.
 */
export function endpointRoute<P, S, C, Role extends string, X = undefined>(
  endpoint: Endpoint<P, S, C, Role, X>,
  place: EndpointPlace<X>,
  parts: EndpointParts,
): Route {
  const { owner, prepare, credential = SIGNED, ...declared } = place;
  if (credential === 'none' && !owner) {
    throw new Error(`the endpoint ${endpoint.name} is open, and doesn't say whose its records are`);
  }
  return {
    ...declared,
    name: endpoint.name,
    credential,
    ...(readsPeople(credential) && { reads: 'people' }),
    role: endpoint.role,
    idempotency: endpoint.idempotency,
    ...(endpoint.issuesSecret && { issuesSecret: true }),
    conditions: true,
    encodedSlash: false,
    answer: (ctx) => answer(ctx, endpoint, place, parts),
  };
}

function readsPeople(credential: Route['credential']): boolean {
  return credential === 'none' || credential.some((kind: CredentialKind) => kind !== 'signature');
}

async function answer<P, S, C, Role extends string, X>(
  ctx: Context,
  endpoint: Endpoint<P, S, C, Role, X>,
  { owner, prepare }: EndpointPlace<X>,
  { clock, keys, commitGroup, vault, skew, keyLife }: EndpointParts,
): Promise<void> {
  const { state } = ctx;
  const { message, requestId, route } = state;
  if (endpoint.issuesSecret && !state.loopback && message.scheme !== 'https') {
    throw new CountersignError(
      'key-forbidden',
      'The answer would hold a secret; call over TLS, or on the same machine.',
    );
  }
  const given = apiInput(ctx);
  const identity =
    owner && !state.verified ? openIdentityOf(ctx, owner(given)) : identityOf(ctx, endpoint.idempotency);
  const input = { ...given, prepared: (await prepare?.(given, ctx)) as X };
  const now = epochSeconds(clock);
  const keyid = state.verified?.parameters.keyid;
  const unitOfWork = claimingUnitOfWork(state, commitGroup);
  const sealing = {
    seal: (id: string, result: Buffer) => vault.seal('result', id, result),
    open: (id: string, sealed: Buffer) => vault.open('result', id, sealed),
  };
  const call = {
    identity,
    fingerprint: keptFingerprint(ctx, vault),
    input,
    now,
    keyid,
    actor: state.actor || ANYBODY.principal,
    requestId,
    authorize: async (tx: Transaction) => {
      if (route.credential === 'none') return permit(ANYBODY, state, endpoint.role);
      if (state.person) {
        return permit(await currentContext(tx.accounts, state.person, now), state, endpoint.role);
      }
      return permit(activeKey(keys, keyid as string, now, state).context, state, endpoint.role);
    },
  };
  const outcome = await runEndpoint(unitOfWork, endpoint, call, { sealing, keyLife, skew });
  const { result, replayed, keptUntil } = outcome;
  ctx.status = result.status;
  for (const [name, value] of Object.entries(result.headers ?? {})) ctx.set(name, value);
  if (replayed) ctx.set('Idempotent-Replayed', 'true');
  if (keptUntil !== undefined) ctx.set(KEY_EXPIRES, String(keptUntil));
  if (result.body !== undefined) sendJson(ctx, result.body);
  else sendNothing(ctx);
}

/** Said outright: where no body is set, Koa writes the status in words. */
function sendNothing(ctx: Context): void {
  ctx.body = '';
  ctx.remove('Content-Type');
}

/**
 * An unsigned body may hold a password, and a plain hash of it is searched through faster than argon2 allows: so it is
 * kept under a key.
 */
function keptFingerprint(ctx: Context, vault: KeyVault): string {
  const plain = fingerprint(ctx);
  if (ctx.state.verified) return plain;
  return createHmac('sha256', vault.derivedKey('fingerprint')).update(plain).digest('base64url');
}
