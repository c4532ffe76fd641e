/**
 * Demands a client certificate on the routes that require one. After the nonce, so that the refusal is signed; before
 * the body is read. Whether a key is bound to the certificate is asked where the key is (claim-nonce.ts).
 * @module
 */
import { type Clock, epochSeconds } from '../../clock.ts';
import { CountersignError } from '../../errors.ts';
import type { Stage } from '../call.ts';

export function demandCertificate({ clock }: { clock: Clock }): Stage {
  return async function demandCertificate(ctx, next) {
    const { route, certificate } = ctx.state;
    if (route.clientCertificate === 'required' && !certificate(epochSeconds(clock))) {
      throw new CountersignError(
        'key-forbidden',
        'This route is for callers with a client certificate, and the connection shows none that counts: it must come from a trusted root, be within its dates, not be denied, and have one URI name.',
      );
    }
    return next();
  };
}
