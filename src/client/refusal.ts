/**
 * Reading a refusal by the gateway: problem details (RFC 9457) with a stable `code`.
 * @module
 */
import { type ErrorCode, refusalCodes } from '../errors.ts';
import type { Fields } from '../signatures/fields.ts';
import type { VerifiedResponse } from '../signatures/verify-response.ts';
import { ResponseError } from './response-error.ts';

const CODE = /^[a-z][a-z0-9-]{0,63}$/;
const KNOWN: ReadonlySet<string> = new Set(refusalCodes);
const MOST_DETAIL = 2048;

/**
 * The refusal that a verified answer is, or undefined where it is an answer of what lies behind the gateway. Known by
 * the covered field alone: an upstream may answer 401 with problem details of its own.
 */
export function readRefusal({ status, fields, body }: VerifiedResponse): ResponseError | undefined {
  const code = fields.get('countersign-refusal');
  if (code === undefined) return undefined;
  if (!CODE.test(code)) {
    return new ResponseError('response-invalid', 'The answer is a refusal whose code can not be read.', {
      status,
      verified: true,
    });
  }
  const { detail, members } = readProblem(fields, body);
  return new ResponseError(
    code as ErrorCode,
    detail ?? `The gateway refused the call (${code}, ${status}).`,
    {
      status,
      verified: true,
      members,
      headers: Object.fromEntries(fields.entries()),
    },
  );
}

/** What an unsigned answer hints at, where it claims to be one of the gateway's refusals. */
export function readHint(status: number, fields: Fields, body: Uint8Array): ResponseError | undefined {
  if (status < 400) return undefined;
  const { detail, members, code } = readProblem(fields, body);
  const claimed = code ?? fields.get('countersign-refusal') ?? '';
  if (!KNOWN.has(claimed)) return undefined;
  return new ResponseError(
    claimed as ErrorCode,
    detail ?? `The answer is unsigned, and claims to be a refusal (${claimed}, ${status}).`,
    { status, verified: false, members },
  );
}

interface Problem {
  readonly code?: string | undefined;
  readonly detail?: string | undefined;
  readonly members: Readonly<Record<string, unknown>>;
}

const NO_PROBLEM: Problem = { members: {} };

function readProblem(fields: Fields, body: Uint8Array): Problem {
  if (!/^application\/problem\+json\b/i.test(fields.get('content-type') ?? '')) return NO_PROBLEM;
  let document: unknown;
  try {
    document = JSON.parse(Buffer.from(body).toString());
  } catch {
    return NO_PROBLEM;
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return NO_PROBLEM;
  const {
    type: _type,
    title: _title,
    status: _status,
    detail,
    code,
    ...members
  } = document as Problem & Record<string, unknown>;
  return { code: text(code), detail: printableText(detail), members };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** A detail ends in logs and on terminals, and an unsigned one may come from anybody. */
function printableText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== ''
    ? value.slice(0, MOST_DETAIL).replace(/\p{Cc}/gu, ' ')
    : undefined;
}
