/**
 * The table of refusals: each code with its HTTP status. The README explains every row; a test holds both together.
 * @module
 */
import { CountersignError, type RefusalCode, refusalCodes } from '../errors.ts';
import { signatureRefusalStatus } from '../signatures/koa-middleware.ts';

export const refusalStatus: Readonly<Record<RefusalCode, number>> = {
  ...signatureRefusalStatus,
  'headers-too-large': 431,
  'origin-unknown': 421,
  'rate-limited': 429,
  overloaded: 503,
  'key-inactive': 401,
  'role-missing': 403,
  'key-forbidden': 403,
  'not-found': 404,
  'method-not-allowed': 405,
  conflict: 409,
  'precondition-failed': 412,
  'json-malformed': 400,
  'validation-failed': 422,
  'idempotency-key-missing': 400,
  'idempotency-key-invalid': 400,
  'idempotency-in-flight': 409,
  'idempotency-mismatch': 422,
  'outcome-unknown': 409,
  'store-unavailable': 503,
  'upstream-unreachable': 502,
  'upstream-timeout': 504,
  'upstream-invalid': 502,
  'token-invalid': 401,
  'login-failed': 401,
  csrf: 403,
  'internal-error': 500,
};

const CODES: ReadonlySet<string> = new Set(refusalCodes);

/** A refusal as it is sent (RFC 9457). */
export interface Problem {
  readonly code: RefusalCode;
  readonly status: number;
  readonly detail: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export const PROBLEM_TYPE = 'application/problem+json';

/** Turns whatever was thrown into what the caller may see: nothing of an error that wasn't raised on purpose. */
export function toProblem(error: unknown): Problem {
  const known =
    error instanceof CountersignError && CODES.has(error.code)
      ? error
      : new CountersignError(
          'internal-error',
          'The gateway failed; its log has the reason under this request id.',
        );
  const code = known.code as RefusalCode;
  const status = refusalStatus[code];
  const body = JSON.stringify({
    type: `README.md#${code}`,
    title: code.replaceAll('-', ' '),
    status,
    code,
    detail: known.message,
    ...known.members,
  });
  return { code, status, detail: known.message, headers: known.headers, body };
}
