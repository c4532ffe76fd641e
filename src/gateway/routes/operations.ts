/**
 * `/v1/operations/{key}`: what is known of a call that was made under an Idempotency-Key, for whoever made it.
 * @module
 */
import { z } from 'zod';
import { type Clock, epochSeconds } from '../../clock.ts';
import { CountersignError } from '../../errors.ts';
import type { Operations } from '../../idempotency/operations.ts';
import type { DoneRecordReader } from '../../idempotency/records.ts';
import { recordId } from '../../idempotency/run.ts';
import { type Context, SIGNED } from '../call.ts';
import { ownerOf } from '../idempotent-call.ts';
import { sendJson } from './own.ts';
import type { PatternRoute } from './pattern-routes.ts';

export interface OperationRouteParts {
  readonly clock: Clock;
  readonly operations: Operations;
  readonly done: DoneRecordReader;
}

const time = z.string().meta({ format: 'date-time' });

const operation = z.object({
  key: z.string(),
  status: z.enum(['running', 'done', 'unknown']).meta({
    description:
      '`unknown`: it was forwarded, and no complete answer arrived; whether it took effect, only the upstream knows.',
  }),
  begun: time,
  ended: time.nullable(),
  resultStatus: z.int().nullable().meta({ description: 'The status of the answer, where it is done.' }),
  expires: time.meta({ description: 'When all of this is forgotten, and the key means nothing any more.' }),
});

export function operationRoute(parts: OperationRouteParts): PatternRoute {
  return {
    method: 'GET',
    path: '/v1/operations/{key}',
    route: {
      name: 'operation.show',
      credential: SIGNED,
      role: 'any',
      idempotency: 'none',
      schema: {},
      description: {
        summary: 'Show what is known of a call under an Idempotency-Key',
        details:
          "Of the caller's own calls alone. The key as it was sent, without its quotes; reserved characters are percent-encoded.",
        answers: { 200: { description: 'What is known of it.', schema: operation } },
      },
      conditions: true,
      // A key may hold slashes.
      encodedSlash: true,
      answer: (ctx) => answer(ctx, parts),
    },
  };
}

async function answer(ctx: Context, { clock, operations, done }: OperationRouteParts): Promise<void> {
  const key = ctx.state.params.key as string;
  const id = recordId({ by: 'key', key, principal: ownerOf(ctx) });
  const record = await done.find(id);
  if (!record || record.keptUntil <= epochSeconds(clock)) {
    throw new CountersignError(
      'not-found',
      'Nothing is known of this key: no call of yours bore it, it is known not to have happened, or its time is over.',
    );
  }
  const { begunAt, endedAt, keptUntil } = record;
  const shown: z.output<typeof operation> = {
    key,
    status: operations.standing(record),
    begun: isoTime(begunAt),
    ended: endedAt === undefined ? null : isoTime(endedAt),
    resultStatus: operations.resultStatus(id, record) ?? null,
    expires: isoTime(keptUntil),
  };
  sendJson(ctx, shown);
}

function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
