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
import { runEndpoint } from '../../idempotency/run.ts';
import type { VerifiedRequest } from '../../signatures/verify-request.ts';
import type { CommitGroup, Transaction } from '../../storage/unit-of-work.ts';
import type { Context, Route, RouteDescription, RouteSchema } from '../call.ts';
import { claimingUnitOfWork, fingerprint, identityOf, KEY_EXPIRES } from '../idempotent-call.ts';
import { permit } from '../middleware/authorize-call.ts';
import { activeKey } from '../middleware/claim-nonce.ts';
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

/** An endpoint of the gateway's API. `P` is what it makes of the input. */
export type Endpoint<P, S, C, Role extends string> = IdempotentEndpoint<Transaction, ApiInput, P, S, C, Role>;

/** What the route says besides what the endpoint says itself. */
export interface EndpointPlace {
  /** Null where the endpoint alone knows. */
  readonly schema: RouteSchema | null;
  readonly description: RouteDescription;
  readonly selfService?: true;
}

export function endpointRoute<P, S, C, Role extends string>(
  endpoint: Endpoint<P, S, C, Role>,
  place: EndpointPlace,
  parts: EndpointParts,
): Route {
  return {
    ...place,
    name: endpoint.name,
    credential: 'signature',
    role: endpoint.role,
    idempotency: endpoint.idempotency,
    ...(endpoint.issuesSecret && { issuesSecret: true }),
    conditions: true,
    encodedSlash: false,
    answer: (ctx) => answer(ctx, endpoint, parts),
  };
}

async function answer<P, S, C, Role extends string>(
  ctx: Context,
  endpoint: Endpoint<P, S, C, Role>,
  { clock, keys, commitGroup, vault, skew, keyLife }: EndpointParts,
): Promise<void> {
  const { state } = ctx;
  const { message, requestId, actor } = state;
  const { keyid } = (state.verified as VerifiedRequest).parameters;
  if (endpoint.issuesSecret && !state.loopback && message.scheme !== 'https') {
    throw new CountersignError(
      'key-forbidden',
      'The answer would hold a secret; call over TLS, or on the same machine.',
    );
  }
  const identity = identityOf(ctx, endpoint.idempotency);
  const input = apiInput(ctx);
  const now = epochSeconds(clock);
  const unitOfWork = claimingUnitOfWork(state, commitGroup);
  const sealing = {
    seal: (id: string, result: Buffer) => vault.seal('result', id, result),
    open: (id: string, sealed: Buffer) => vault.open('result', id, sealed),
  };
  const call = {
    identity,
    fingerprint: fingerprint(ctx),
    input,
    now,
    keyid,
    actor,
    requestId,
    authorize: () => permit(activeKey(keys, keyid, now, state.address).context, state, endpoint.role),
  };
  const outcome = await runEndpoint(unitOfWork, endpoint, call, { sealing, keyLife, skew });
  const { result, replayed, keptUntil } = outcome;
  ctx.status = result.status;
  for (const [name, value] of Object.entries(result.headers ?? {})) ctx.set(name, value);
  if (replayed) ctx.set('Idempotent-Replayed', 'true');
  if (keptUntil !== undefined) ctx.set(KEY_EXPIRES, String(keptUntil));
  if (result.body !== undefined) sendJson(ctx, result.body);
}
