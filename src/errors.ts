/**
 * One error class and the union of its codes. There is no HTTP in it: `gateway/refusals.ts` gives a code its
 * status, and the README's table explains each.
 * @module
 */

/** Codes that a caller of the gateway can meet, in the order of the README's table. */
export const refusalCodes = [
  'request-malformed',
  'target-ambiguous',
  'headers-too-large',
  'origin-unknown',
  'rate-limited',
  'overloaded',
  'signature-missing',
  'signature-malformed',
  'signature-policy',
  'signature-invalid',
  'signature-expired',
  'clock-skew',
  'nonce-replayed',
  'key-inactive',
  'digest-mismatch',
  'role-missing',
  'key-forbidden',
  'not-found',
  'method-not-allowed',
  'conflict',
  'precondition-failed',
  'body-too-large',
  'json-malformed',
  'validation-failed',
  'idempotency-key-missing',
  'idempotency-key-invalid',
  'idempotency-in-flight',
  'idempotency-mismatch',
  'outcome-unknown',
  'store-unavailable',
  'upstream-unreachable',
  'upstream-timeout',
  'upstream-invalid',
  'token-invalid',
  'login-failed',
  'csrf',
  'internal-error',
] as const;

export type RefusalCode = (typeof refusalCodes)[number];

/** Codes that only the caller's own side raises: the client, the command line, the start of the gateway. */
export type LocalCode =
  | 'config-invalid'
  | 'credentials-invalid'
  | 'request-invalid'
  | 'tls-required'
  | 'response-invalid'
  | 'response-unsigned'
  | 'connection-lost'
  | 'timeout'
  | 'cassette-invalid'
  | 'consumer-unknown'
  | 'consumer-exists'
  | 'consumer-invalid'
  | 'key-unknown'
  | 'master-key-missing'
  | 'master-key-wrong'
  | 'store-newer'
  | 'store-failed'
  | 'audit-broken'
  | 'store-in-use'
  | 'folder-not-empty'
  | 'backup-invalid'
  | 'listen-failed'
  | 'account-invalid'
  | 'account-unknown'
  | 'account-exists'
  | 'start-up-failed'
  | 'passphrase-invalid'
  | 'authority-invalid'
  | 'authority-exists'
  | 'profile-invalid'
  | 'certificate-request-refused'
  | 'certificate-invalid'
  | 'requester-unknown'
  | 'ledger-broken'
  | 'clock-untrusted'
  | 'issuer-busy'
  | 'inventory-differs'
  | 'trust-bundle-invalid';

export type ErrorCode = RefusalCode | LocalCode;

export interface ErrorOptions {
  cause?: unknown;
  /** Extension members of the problem document (RFC 9457 section 3.2), such as `server-time`. Public. */
  members?: Readonly<Record<string, unknown>>;
  /** Extra response header fields, such as `Allow` or `Retry-After`. Public. */
  headers?: Readonly<Record<string, string>>;
}

/** Every error that Countersign raises on purpose. `message` says what to do, and never holds a secret. */
export class CountersignError extends Error {
  override readonly name = 'CountersignError';
  readonly code: ErrorCode;
  readonly members: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ErrorCode, detail: string, options: ErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.members = options.members ?? {};
    this.headers = options.headers ?? {};
  }
}
