/**
 * Verifies the signature: parse, policy, key, MAC, time (README, "The wire"). A credential that is presented and
 * fails is a refusal, on routes that ask for none as well.
 * @module
 */
import { type Clock, epochSeconds } from '../../clock.ts';
import type { KeyDirectory } from '../../consumers/key-directory.ts';
import { judgeTimes, type LifePolicy } from '../../signatures/request-profile.ts';
import { bearsSignature } from '../../signatures/signature-input.ts';
import { presentRequest, verifyRequest } from '../../signatures/verify-request.ts';
import type { Stage } from '../call.ts';

export interface AuthenticateParts {
  readonly clock: Clock;
  readonly keys: KeyDirectory;
  readonly life: LifePolicy;
}

export function authenticate({ clock, keys, life }: AuthenticateParts): Stage {
  return async function authenticate(ctx, next) {
    const { state } = ctx;
    const { route, message } = state;
    if (route.probe) return next();
    // Who calls without one is the next stage's to say.
    if (!bearsSignature(message.fields)) return next();
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
