/**
 * `GET /v1/trust-bundle`: the roots to trust, as the offline issuer has signed them. The gateway hands the file on as it
 * is, and its own signature adds nothing: a receiver believes roots that it trusts already, or a fingerprint that it was
 * given, so the answer is there for everybody.
 * @module
 */
import { z } from 'zod';
import { CountersignError } from '../../errors.ts';
import type { Route } from '../call.ts';

const bundle = z.object({
  bundle: z
    .string()
    .meta({ description: 'Base64 of `{"version","created","expires","roots"}`: the signed bytes.' }),
  signatures: z.array(
    z.object({
      root: z.string().meta({ description: "SHA-256 of the signing root's DER, in hex." }),
      signature: z.string().meta({ description: 'ECDSA with SHA-384, in base64.' }),
    }),
  ),
});

/** @param read the bundle; undefined before the first one has come. */
export function trustBundleRoute(read: () => string | undefined): Route {
  return {
    name: 'trust-bundle',
    credential: 'none',
    role: 'any',
    idempotency: 'none',
    schema: null,
    conditions: true,
    encodedSlash: false,
    description: {
      summary: 'The roots of the certificates, signed by roots',
      details:
        'Believe it for the signature of a root that you trust already; refuse a lower version than you had.',
      answers: { 200: { description: 'The bundle, as the offline issuer made it.', schema: bundle } },
    },
    answer(ctx) {
      const text = read();
      if (text === undefined) {
        throw new CountersignError('not-found', 'The issuer has sent no trust bundle yet.');
      }
      ctx.set('Content-Type', 'application/json; charset=utf-8');
      ctx.body = text;
    },
  };
}
