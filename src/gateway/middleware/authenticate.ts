/**
 * Verifies the signature: parse, policy, key, MAC, time (README, "The wire"). A credential that is presented and
 * fails is a refusal, on routes that ask for none as well.
 * @module
 */
import { type Clock, epochSeconds } from '../../clock.ts';
import type { KeyDirectory } from '../../consumers/key-directory.ts';
import { CountersignError } from '../../errors.ts';
import { judgeTimes, type LifePolicy } from '../../signatures/request-profile.ts';
import { bearsSignature } from '../../signatures/signature-input.ts';
import { presentRequest, verifyRequest } from '../../signatures/verify-request.ts';
import type { Stage } from '../call.ts';

export interface AuthenticateParts {
  readonly clock: Clock;
  readonly keys: KeyDirectory;
  readonly life: LifePolicy;
}

/** What a call that bears no signature is asked for (RFC 9421 section 5). */
const CHALLENGE = {
  'Accept-Signature':
    'cs=("@method" "@target-uri" "content-digest" "content-type");created;expires;nonce;keyid;alg="hmac-sha256";tag="countersign-request-v1"',
  'WWW-Authenticate': 'Signature realm="countersign"',
};

export function authenticate({ clock, keys, life }: AuthenticateParts): Stage {
  return async function authenticate(ctx, next) {
    const { state } = ctx;
    const { route, message } = state;
    if (route.probe) return next();
    if (!bearsSignature(message.fields)) {
      if (route.credential === 'none') return next();
      throw new CountersignError(
        'signature-missing',
        'This call must be signed (RFC 9421, hmac-sha256): see Accept-Signature for what to cover.',
        { headers: CHALLENGE },
      );
    }
    const now = epochSeconds(clock);
    const request = presentRequest(message, life, route, now);
    const key = keys.find(request.presented.parameters.keyid);
    const verified = verifyRequest(request, key?.secret);
    state.verified = verified;
    state.consumer = key?.consumer;
    state.actor = key?.actor ?? '';
    // A message that has expired can never become good again. Any other answer waits until its nonce is claimed.
    const untimely = judgeTimes(verified.parameters, life, now);
    if (untimely?.code === 'signature-expired') throw untimely;
    state.untimely = untimely;
    return next();
  };
}
