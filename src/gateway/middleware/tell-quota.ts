/**
 * Tells a limited caller what is left of its quotas, on every answer, refusals included.
 * @module
 */
import type { Logger } from 'pino';
import { rateLimitFields } from '../../limits/ratelimit-fields.ts';
import type { Stage } from '../call.ts';
import { type LimitConsumerParts, quotasOf } from './limit-consumer.ts';

export function tellQuota({ quotas, quotaStore, logger }: LimitConsumerParts & { logger: Logger }): Stage {
  return async function tellQuota(ctx, next) {
    await next();
    const { state } = ctx;
    const due = quotasOf(state, quotas());
    // A store that can't answer has nothing to tell.
    if (!due || state.refusal === 'store-unavailable') return;
    // A call that wasn't charged, such as one that was sent twice, sees what the others have left.
    try {
      const { standings } = state.quota ?? (await quotaStore.look(due));
      ctx.set({ ...rateLimitFields(standings) });
    } catch (error) {
      // The answer stands without them.
      logger.warn({ requestId: state.requestId, err: error }, 'what is left of a quota could not be read');
    }
  };
}
