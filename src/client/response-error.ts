/**
 * What the client throws because of an answer: the gateway's refusals, and answers that can't be trusted.
 * @module
 */
import { CountersignError, type ErrorCode, type ErrorOptions } from '../errors.ts';

/**
 * An error that an answer caused. Told apart by `code`:
 * - a refusal by the gateway has the code of its problem document (a gateway newer than this client may send one
 *   that is not in the union), its detail as the message, and its extension members as `members`;
 * - `response-invalid` is an answer that can't be trusted, `response-unsigned` one that should be signed and isn't.
 */
export class ResponseError extends CountersignError {
  /** The status of the answer, undefined where it isn't even HTTP. As trustworthy as `verified` says. */
  readonly status: number | undefined;
  /** Whether the answer's signature held. What is not verified is a hint: never act upon it unasked. */
  readonly verified: boolean;

  constructor(
    code: ErrorCode,
    detail: string,
    options: ErrorOptions & { readonly status?: number; readonly verified: boolean },
  ) {
    super(code, detail, options);
    this.status = options.status;
    this.verified = options.verified;
  }
}
