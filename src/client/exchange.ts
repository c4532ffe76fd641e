/**
 * One request and its answer, with all that was computed on the way: what `signedFetch` is made of, and what a tool
 * shows that explains a call.
 * @module
 */
import { CountersignError } from '../errors.ts';
import {
  type PresentedResponse,
  presentResponse,
  type VerifiedResponse,
  verifyResponse,
} from '../signatures/verify-response.ts';
import type { PreparedRequest } from './prepared-request.ts';
import { readHint, readRefusal } from './refusal.ts';
import { ResponseError } from './response-error.ts';
import type { ReceivedResponse, SendOptions, SentRequest, Transport } from './transport.ts';

export interface Exchange {
  readonly prepared: PreparedRequest;
  readonly sent: SentRequest;
  readonly received: ReceivedResponse;
  /** Milliseconds from sending until the answer was read, by a clock that never steps. */
  readonly duration: number;
  /** The signature base of the response, undefined where its signature is missing or covers too little. */
  readonly responseBase: string | undefined;
  /** The answer, where its signature and digest hold: refusals too. */
  readonly verified: VerifiedResponse | undefined;
  /** What `openResponse` throws: a refusal, or why the answer can't be trusted. */
  readonly error: ResponseError | undefined;
}

export interface ExchangeOptions extends SendOptions {
  readonly transport: Transport;
  /** Seconds by which the gateway lets clocks differ. Default: 30. */
  readonly skew?: number | undefined;
}

export const DEFAULT_SKEW = 30;

/**
 * Sends a prepared request as it stands, once, and judges the answer. To send the same message again, call it again.
 * @throws `connection-lost`, `response-invalid` for an answer that can't be read at all, or the signal's reason. What
 * is wrong with an answer that was read stands in `error`.
 */
export async function exchange(prepared: PreparedRequest, options: ExchangeOptions): Promise<Exchange> {
  const { transport, skew = DEFAULT_SKEW } = options;
  const start = performance.now();
  const { sent, received } = await transport.send(prepared.message, prepared.body, options);
  const duration = performance.now() - start;
  const judged = judge(prepared, received, skew);
  return { prepared, sent, received, duration, ...judged };
}

type Judgement = Pick<Exchange, 'responseBase' | 'verified' | 'error'>;

function judge(prepared: PreparedRequest, received: ReceivedResponse, skew: number): Judgement {
  const { key, nonce, components, message: request } = prepared;
  const { status, fields, body, waited } = received;
  let presented: PresentedResponse | undefined;
  try {
    presented = presentResponse({ status, fields, request }, { keyid: key.keyid, nonce, components });
    const verified = verifyResponse(presented, key.secret, body);
    const error = readRefusal(verified);
    if (!isAboutTime(error)) demandFresh(verified, prepared.created + waited / 1000 - skew);
    return { responseBase: presented.base, verified, error };
  } catch (cause) {
    return { responseBase: presented?.base, verified: undefined, error: asResponseError(cause, received) };
  }
}

/** These two say that the clocks differ, so no comparison of times could judge them; their nonce ties them to now. */
export function isAboutTime(error: ResponseError | undefined): boolean {
  return error?.verified === true && (error.code === 'clock-skew' || error.code === 'signature-expired');
}

/**
 * The echoed nonce makes an answer no older than its request. That it isn't much younger, held back by somebody on
 * the way, is judged by our own timer from the request's `created`, which the gateway has accepted within the skew;
 * this machine's clock may have been set in between.
 * @param earliest the least that the gateway's clock can show, in seconds since the epoch.
 */
function demandFresh({ parameters: { expires } }: VerifiedResponse, earliest: number): void {
  if (earliest <= expires) return;
  throw new CountersignError(
    'response-invalid',
    `The answer can't be trusted: it came ${Math.ceil(earliest - expires)} s after its signature had expired.`,
  );
}

function asResponseError(cause: unknown, { status, fields, body }: ReceivedResponse): ResponseError {
  if (!(cause instanceof CountersignError)) throw cause;
  if (cause.code === 'response-unsigned') {
    const hint = readHint(status, fields, body);
    if (hint) return hint;
  }
  return new ResponseError(cause.code, cause.message, { status, verified: false, cause });
}
