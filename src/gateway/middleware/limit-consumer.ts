/**
 * Charges a call to its consumer's quotas, once its nonce is known to be fresh: a message that was replayed, or that
 * bears no good MAC, costs its consumer nothing.
 * @module
 */
import { CountersignError } from '../../errors.ts';
import type { ConsumerQuotas } from '../../limits/consumer-quotas.ts';
import type { Quota, QuotaStore, QuotaVerdict } from '../../limits/quotas.ts';
import type { Transaction } from '../../storage/unit-of-work.ts';
import type { CallState, Stage } from '../call.ts';

export interface LimitConsumerParts {
  readonly quotas: () => ConsumerQuotas;
  readonly quotaStore: QuotaStore;
}

export function limitConsumer({ quotas, quotaStore }: LimitConsumerParts): Stage {
  return async function limitConsumer(ctx, next) {
    const { state } = ctx;
    const due = quotasOf(state, quotas());
    if (!due) return next();
    // An endpoint that claims the nonce in its own unit of work pays there; what is refused before that, when the
    // nonce is used up after all (middleware/claim-nonce.ts).
    if (state.claimed) settle(state, await quotaStore.charge(due));
    else state.owed = due;
    return next();
  };
}

/** Undefined for whoever may call as often as it likes, and for calls without a good MAC. */
export function quotasOf(
  { verified, consumer, address }: CallState,
  quotas: ConsumerQuotas,
): readonly Quota[] | undefined {
  if (!verified || consumer === undefined) return undefined;
  return quotas.of({ consumer, keyid: verified.parameters.keyid, address });
}

/** The transaction of a call that still owes a charge: it is paid as soon as its nonce is claimed there. */
export function payingTransaction(tx: Transaction, state: CallState): Transaction {
  const { owed } = state;
  if (!owed) return tx;
  return {
    ...tx,
    nonces: {
      async claim(nonce) {
        const verdict = await tx.nonces.claim(nonce);
        if (verdict === 'claimed') settle(state, await tx.quotas.charge(owed));
        return verdict;
      },
    },
  };
}

/** Notes what is left, for the answer; `rate-limited` where there was no room. */
function settle(state: CallState, verdict: QuotaVerdict): void {
  state.owed = undefined;
  state.quota = verdict;
  if (verdict.wait === 0) return;
  const violated = verdict.standings.filter(({ left }) => left === 0).map(({ quota }) => quota.name);
  throw new CountersignError(
    'rate-limited',
    `This key has used up its quota (${violated.join(', ')}; see RateLimit-Policy); try again after Retry-After.`,
    { headers: { 'Retry-After': String(verdict.wait) }, members: { 'violated-policies': violated } },
  );
}
