/**
 * Holds the body against every digest that the signature covers (RFC 9530).
 * @module
 */
import { verifyContentDigest } from '../../signatures/content-digest.ts';
import type { Stage } from '../call.ts';

export const verifyDigest: Stage = async function verifyDigest(ctx, next) {
  const { verified, body } = ctx.state;
  if (verified) verifyContentDigest(verified.digests, body);
  return next();
};
