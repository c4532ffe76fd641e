/**
 * Nonces that come out the same in every run.
 * @module
 */
import { createHash } from 'node:crypto';

/**
 * A source of nonces for `signedFetch`, each of 32 characters: the same seed gives the same nonces in the same order.
 * Two clients with one key need two seeds, or one source between them: a nonce is good once.
 *
 *     const fetch = signedFetch(credentials, { clock, nonce: seededNonces('orders') });
 *
 * For tests alone: who knows the seed knows every nonce.
 */
export function seededNonces(seed: string | number): () => string {
  let count = 0;
  return function seededNonce() {
    const hash = createHash('sha256').update(JSON.stringify([seed, count++]));
    return hash.digest('base64url').slice(0, 32);
  };
}
