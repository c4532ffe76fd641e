/**
 * SHA-256 fingerprints as people see and compare them, on the terminal, in JSON and in the log: `openssl x509 -fingerprint`
 * and browsers write them so. In the ledger and in files that travel they are lower-case hex.
 * @module
 */

/** @param hex 64 digits. @returns `3F:A4:…`. */
export function colonText(hex: string): string {
  return hex.toUpperCase().match(/../g)?.join(':') ?? '';
}
