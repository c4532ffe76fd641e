/**
 * `signedFetch`: fetch with both sides signed. It signs, sends, verifies, and deals by itself with what passes: a lost
 * connection, a busy gateway, a clock that is wrong.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Credentials, signingKey } from './credentials.ts';
import { type Deadline, startDeadline } from './deadline.ts';
import { DEFAULT_SKEW, type Exchange, exchange, isAboutTime } from './exchange.ts';
import { openResponse } from './open-response.ts';
import { guardPlainHttp } from './plain-http.ts';
import { DEFAULT_LIFE, prepareRequest, randomNonce } from './prepared-request.ts';
import { draftFetch, isRequest, type RequestDraft, type SignedInit } from './request-draft.ts';
import { isPassing, mayRepeat, retryDelay } from './retry.ts';
import { createTransport, mayPass, type TlsOptions } from './transport.ts';

export interface SignedFetchOptions {
  /** Refuse plain http to any host but this machine, with `tls-required`. Default: warn once for each host. */
  readonly requireTls?: boolean;
  /** Milliseconds for the whole call, tries and waits included; `Infinity` for none. Default: 60,000. */
  readonly timeout?: number;
  /** How often a call that may be repeated is tried again. Default: 2. */
  readonly retries?: number;
  /** Bytes of a stream, form or blob that are buffered to be signed. Default: 16 MiB. */
  readonly maxRequestBody?: number;
  /** Bytes of an answer's body. Default: 16 MiB. */
  readonly maxResponseBody?: number;
  /** Whom to trust and who we are, for https. Default: the roots of the credentials' `ca`, or else those of Node. */
  readonly tls?: TlsOptions;
  /** Seconds for which a request's signature holds. Default: 60; the gateway allows 300. */
  readonly life?: number;
  /** Seconds by which the gateway lets clocks differ. Default: 30. */
  readonly skew?: number;
  /** Sees every exchange, also those that are followed by another try: for showing and for counting. */
  readonly onExchange?: (exchange: Exchange) => void;
  /** Milliseconds since the epoch. Default: the system's clock. */
  readonly clock?: { now(): number };
  /** Default: 24 random bytes in base64url. */
  readonly nonce?: () => string;
  /** From 0 to 1, for jitter. Default: `Math.random`. */
  readonly random?: () => number;
  /** Waits before a retry; rejects when the signal aborts. */
  readonly wait?: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

export interface SignedFetch {
  /**
   * As fetch, and with every answer verified. Resolves to what lies behind the gateway, 4xx and redirects too (none is
   * followed), with the covered header fields alone.
   *
   * Rejects with a `CountersignError`: `request-invalid`, `tls-required`, `connection-lost`, `timeout`; or, as a
   * `ResponseError` with `status` and `verified`, `response-invalid`, `response-unsigned` and the codes of the gateway's
   * refusals. An aborted `signal` rejects with its own reason, as fetch does.
   */
  (input: string | URL | Request, init?: SignedInit): Promise<Response>;
  /** Closes the connections that are kept open. Calls in flight are lost. */
  close(): void;
}

const MEBIBYTE = 1024 * 1024;

/**
 * Makes a fetch that signs with these credentials. Make it once and keep it: it keeps connections open, and remembers
 * by how much the gateway's clock differs.
 * @throws `credentials-invalid`
 */
export function signedFetch(credentials: Credentials, options: SignedFetchOptions = {}): SignedFetch {
  const {
    requireTls = false,
    timeout = 60_000,
    retries = 2,
    maxRequestBody = 16 * MEBIBYTE,
    maxResponseBody = 16 * MEBIBYTE,
    life = DEFAULT_LIFE,
    skew = DEFAULT_SKEW,
    onExchange,
    clock = { now: () => Date.now() },
    nonce = randomNonce,
    random = Math.random,
    wait = defaultWait,
  } = options;
  const key = signingKey(credentials);
  const transport = createTransport({ ...trusted(credentials), ...options.tls });
  /** Milliseconds by which the gateway's clock is ahead of ours, as far as it has told. */
  let offset = 0;

  async function tryOnce(draft: RequestDraft, { signal }: Deadline): Promise<Exchange> {
    const created = Math.floor((clock.now() + offset) / 1000);
    const prepared = prepareRequest(draft, key, { created, expires: created + life, nonce: nonce() });
    const made = await exchange(prepared, { transport, signal, maxResponseBody, skew });
    onExchange?.(made);
    return made;
  }

  async function converse(draft: RequestDraft, deadline: Deadline): Promise<Exchange> {
    const repeatable = mayRepeat(draft.message);
    let clockLearned = false;
    for (let attempt = 1; ; attempt++) {
      const mayTryAgain = repeatable && attempt <= retries;
      let made: Exchange | undefined;
      let lost: unknown;
      try {
        made = await tryOnce(draft, deadline);
      } catch (error) {
        if (!mayTryAgain || !mayPass(error)) throw error;
        lost = error;
      }
      if (made && isAboutTime(made.error) && !clockLearned) {
        // The message itself is done with: its nonce is burned, or it can never become good. So this is safe for POST.
        offset = serverTime(made) * 1000 - clock.now();
        clockLearned = true;
        attempt--;
        continue;
      }
      if (made && !(mayTryAgain && isPassing(made))) return made;
      const retryAfter = made?.verified?.fields.get('retry-after');
      const delay = retryDelay(attempt, retryAfter, clock.now() + offset, random());
      if (delay >= deadline.remaining()) {
        if (made) return made;
        throw lost;
      }
      await wait(delay, deadline.signal);
    }
  }

  async function call(input: string | URL | Request, init: SignedInit = {}): Promise<Response> {
    const signal = init.signal === undefined && isRequest(input) ? input.signal : init.signal;
    const deadline = startDeadline(timeout, signal ?? undefined);
    try {
      deadline.signal.throwIfAborted();
      const draft = await draftFetch(input, init, { base: key.url, maxRequestBody, signal: deadline.signal });
      guardPlainHttp(draft.message.scheme, draft.message.authority, requireTls);
      return openResponse(await converse(draft, deadline));
    } finally {
      deadline.end();
    }
  }

  return Object.assign(call, { close: () => transport.close() });
}

function trusted({ ca }: Credentials): TlsOptions {
  return ca === undefined ? {} : { ca };
}

/** Whole seconds since the epoch. The answer to a HEAD has no body to say it in, but its signature bears a time too. */
function serverTime({ error, verified }: Exchange): number {
  const told = error?.members['server-time'];
  return typeof told === 'number' && Number.isSafeInteger(told) && told > 0
    ? told
    : (verified?.parameters.created as number);
}

async function defaultWait(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(milliseconds, undefined, { signal });
  } catch {
    throw signal.reason;
  }
}
