/**
 * Claims the nonce, as soon as the MAC holds and before anything is signed, a refusal included. Otherwise somebody
 * on the way could fetch a signed refusal with a damaged copy, and then deliver the original.
 * @module
 */
import { type Clock, epochSeconds } from '../../clock.ts';
import type { KeyDirectory } from '../../consumers/key-directory.ts';
import { CountersignError } from '../../errors.ts';
import type { NonceStore } from '../../replay/nonces.ts';
import { signatureExpired } from '../../signatures/request-profile.ts';
import type { Stage } from '../call.ts';

export interface ClaimNonceParts {
  readonly clock: Clock;
  readonly keys: KeyDirectory;
  readonly nonces: NonceStore;
}

export function claimNonce({ clock, keys, nonces }: ClaimNonceParts): Stage {
  return async function claimNonce(ctx, next) {
    const { state } = ctx;
    const { verified } = state;
    if (!verified) return next();
    const { keyid, nonce, created, expires } = verified.parameters;
    const verdict = await nonces.claim({ keyid, value: nonce, created, expires });
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
    if (state.untimely) throw state.untimely;

    // Looked up again: the claim has followed what other processes changed, up to its own commit.
    const key = keys.find(keyid);
    const inactive = key
      ? key.inactive(epochSeconds(clock))
      : 'The key was removed; ask an operator for another.';
    if (!key || inactive) throw new CountersignError('key-inactive', inactive ?? '');
    state.context = key.context;
    return next();
  };
}
