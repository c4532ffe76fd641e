/**
 * Records refusals before they are sent: a row each once the caller is known (counted where they
 * repeat without end), and a count by address before one. What can't be
 * recorded isn't answered, but with `store-unavailable`.
 * @module
 */
import type { Logger } from 'pino';
import type { RepeatedRefusals } from '../../audit/repeated-refusals.ts';
import type { UnverifiedCalls } from '../../audit/unverified-calls.ts';
import { CountersignError, type ErrorCode } from '../../errors.ts';
import type { CommitGroup } from '../../storage/unit-of-work.ts';
import type { Context, Stage } from '../call.ts';
import { toProblem } from '../refusals.ts';

/** Records what a call is refused with. @returns what it is to be answered with. */
export type RecordRefusal = (ctx: Context, error: unknown) => Promise<unknown>;

export interface RecordRefusalParts {
  readonly commitGroup: CommitGroup;
  readonly unverified: UnverifiedCalls;
  readonly repeated: RepeatedRefusals;
  readonly logger: Logger;
}

export function recordRefusal({
  commitGroup,
  unverified,
  repeated,
  logger,
}: RecordRefusalParts): RecordRefusal {
  return async function recordRefusal({ state }, error) {
    const { verified, person, address, route, actor, requestId } = state;
    const code = codeOf(error);
    if (!verified && !person) {
      unverified.count(address, code);
      return error;
    }
    // The store has just not answered: to ask it once more would only stall the others.
    if (code === 'store-unavailable') return error;
    const keyid = verified?.parameters.keyid;
    if (!repeated.admit({ actor, keyid, code })) return error;
    const by = { actor, ...(keyid !== undefined && { keyid }) };
    const row = { ...by, action: 'call.refused', subject: route.name, requestId, detail: { code } };
    try {
      // All refusals of one turn share one commit.
      await commitGroup.run('audit a refusal', (tx) => tx.audit.append(row));
      return error;
    } catch (failure) {
      logger.error({ requestId, err: error }, 'a refusal could not be recorded');
      return unrecorded(failure);
    }
  };
}

export function auditRefusal({ record }: { record: RecordRefusal }): Stage {
  return async function auditRefusal(ctx, next) {
    try {
      await next();
    } catch (error) {
      throw await record(ctx, error);
    }
  };
}

function codeOf(error: unknown): ErrorCode {
  // The caller has gone before its body ended, which is no fault of ours.
  if (error instanceof CountersignError && error.code === 'connection-lost') return error.code;
  return toProblem(error).code;
}

function unrecorded(failure: unknown): CountersignError {
  return new CountersignError(
    'store-unavailable',
    'The call was refused, and the refusal could not be recorded. Send it again as it is, or sign it afresh.',
    {
      cause: failure,
      members: { outcome: 'unknown' },
      headers: { 'Retry-After': '1' },
    },
  );
}
