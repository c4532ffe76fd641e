/**
 * From an exchange to what fetch's caller gets: a Response with what is covered, and nothing else.
 * @module
 */
import { STATUS_CODES } from 'node:http';
import type { Exchange } from './exchange.ts';
import { ResponseError } from './response-error.ts';

/** Statuses with which the Response constructor takes no body (Fetch, "null body status"). */
const WITHOUT_BODY = new Set([204, 205, 304]);

/**
 * The answer of what lies behind the gateway, 4xx and 5xx too. Fields that the signature doesn't cover are left out,
 * and so is the reason phrase.
 * @throws {ResponseError} for a refusal by the gateway, and for an answer that can't be trusted.
 */
export function openResponse({ verified, error, prepared }: Exchange): Response {
  if (error || !verified) throw error;
  const { status, fields, body } = verified;
  if (status < 200 || status > 599) {
    throw new ResponseError(
      'response-invalid',
      `The answer has the status ${status}, which no Response can have.`,
      {
        status,
        verified: true,
      },
    );
  }
  const response = new Response(WITHOUT_BODY.has(status) || body.length === 0 ? null : body, {
    status,
    statusText: STATUS_CODES[status] ?? '',
    headers: [...fields.entries()],
  });
  const { scheme, authority, target } = prepared.message;
  return Object.defineProperty(response, 'url', {
    value: `${scheme}://${authority}${target}`,
    enumerable: true,
  });
}
