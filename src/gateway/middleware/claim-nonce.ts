/**
 * Claims the nonce, as soon as the MAC holds and before anything is signed, a refusal included. Otherwise somebody
 * on the way could fetch a signed refusal with a damaged copy, and then deliver the original.
 * @module
 */
import { type Clock, epochSeconds } from '../../clock.ts';
import type { ActiveKey, KeyDirectory } from '../../consumers/key-directory.ts';
import { CountersignError } from '../../errors.ts';
import type { QuotaStore } from '../../limits/quotas.ts';
import type { NonceStore } from '../../replay/nonces.ts';
import { signatureExpired } from '../../signatures/request-profile.ts';
import type { VerifiedRequest } from '../../signatures/verify-request.ts';
import { type CallState, type Route, type Stage, takes } from '../call.ts';

export interface ClaimNonceParts {
  readonly clock: Clock;
  readonly keys: KeyDirectory;
  readonly nonces: NonceStore;
  readonly quotaStore: QuotaStore;
}

export function claimNonce({ clock, keys, nonces, quotaStore }: ClaimNonceParts): Stage {
  return async function claimNonce(ctx, next) {
    const { state } = ctx;
    const { verified } = state;
    if (!verified) return next();
    if (state.route.idempotency !== 'nonce' || state.message.fields.has('idempotency-key')) {
      await claim(state, verified);
      admit(state, verified);
      return next();
    }
    // The endpoint claims the nonce in its own unit of work, together with what it does. Whatever is refused before
    // that uses it up here.
    try {
      admit(state, verified);
      await next();
    } catch (error) {
      if (!state.claimed) {
        await claim(state, verified);
        // A refusal costs as much as an answer, and which of them it is stays as it was.
        if (state.owed) state.quota = await quotaStore.charge(state.owed);
      }
      throw error;
    }
  };

  async function claim(state: CallState, { parameters }: VerifiedRequest): Promise<void> {
    const { keyid, nonce, created, expires } = parameters;
    const verdict = await nonces.claim({ keyid, value: nonce, created, expires });
    state.claimed = true;
    if (verdict === 'expired') {
      throw signatureExpired(
        epochSeconds(clock),
        'The message is older than what the gateway remembers of nonces',
      );
    }
    if (verdict === 'replayed') {
      throw new CountersignError(
        'nonce-replayed',
        'This nonce was used before: the message was sent twice, or a refusal has used it up. Sign again with a new nonce.',
      );
    }
  }

  /** Looks the key up again: a claim has followed what other processes changed, up to its own commit. */
  function admit(state: CallState, { parameters }: VerifiedRequest): void {
    if (state.untimely) throw state.untimely;
    refuseServices(state.route);
    const now = epochSeconds(clock);
    const key = activeKey(keys, parameters.keyid, now, state);
    keys.usage.count(key.keyid, now);
    state.context = key.context;
    state.actor = key.actor;
  }
}

/** Some routes are for people alone: a key has no password, and no sessions to end. */
function refuseServices(route: Route): void {
  if (route.credential === 'none' || takes(route, 'signature')) return;
  throw new CountersignError(
    'key-forbidden',
    'This route is for people: it takes a bearer token or a session, and no signature.',
  );
}

/**
 * The key, as it stands now.
 * @throws key-inactive where it isn't good any more, key-forbidden from an address or without a certificate that it asks for.
 */
export function activeKey(
  keys: KeyDirectory,
  keyid: string,
  now: number,
  { address, certificate }: Pick<CallState, 'address' | 'certificate'>,
): ActiveKey {
  const key = keys.find(keyid);
  const inactive = key ? key.inactive(now) : 'The key was removed; ask an operator for another.';
  if (!key || inactive) throw new CountersignError('key-inactive', inactive ?? '');
  const forbidden = key.forbids(address, () => certificate(now)?.uri);
  if (forbidden) throw new CountersignError('key-forbidden', forbidden);
  return key;
}
