/**
 * SHA-256 fingerprints as people compare them: `openssl x509 -fingerprint` and browsers write them so.
 * @module
 */

/** @param hex 64 digits. */
export function colonText(hex: string): string {
  return hex.toUpperCase().match(/../g)?.join(':') ?? '';
}
