/**
 * Calls to upstreams over HTTP/1.1. The raw target goes out as it came in; nothing is followed, retried or decoded.
 * Only this folder imports undici.
 * @module
 */
import { Pool } from 'undici';
import type { UpstreamRoute } from '../../config/config.ts';
import { CountersignError } from '../../errors.ts';
import { Exchange, type UpstreamAnswer } from './exchange.ts';

export type { UpstreamAnswer } from './exchange.ts';

export interface UpstreamRequest {
  readonly method: string;
  /** The raw request target, which `checkTarget` has passed. */
  readonly target: string;
  /** Names and values in turn, Host among them; Content-Length is computed. */
  readonly headers: string[];
  readonly body: Buffer;
  /** Aborted when the caller goes away. */
  readonly signal?: AbortSignal | undefined;
  /** Called before the first byte goes out; where it never is, the upstream knows nothing of the request. */
  readonly onSending?: () => void;
}

export interface UpstreamsOptions {
  /** Bytes that an answer's body may have. */
  readonly maxBody: number;
}

/** Connections to one origin; what exceeds them waits, and its timeout runs. */
const MOST_CONNECTIONS = 128;
const CONNECT_TIMEOUT_MS = 10_000;
const MOST_HEADER_BYTES = 16 * 1024;

/** TRACE would show the caller what the gateway adds; CONNECT makes a tunnel. */
const NOT_FORWARDED = new Set(['CONNECT', 'TRACE']);
const ALLOW = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS';

export class Upstreams {
  private readonly maxBody: number;
  private readonly pools = new Map<string, Pool>();
  private readonly underWay = new Set<Promise<UpstreamAnswer>>();
  private isClosed = false;

  constructor({ maxBody }: UpstreamsOptions) {
    this.maxBody = maxBody;
  }

  /**
   * Sends a request once and reads the whole answer.
   *
   * Rejects with `upstream-timeout` when `route.timeoutMs` have passed since the call, `upstream-invalid` for an
   * answer that can't be read or is too large, `upstream-unreachable` for every other end but a complete answer, and
   * `connection-lost` when the caller went away.
   */
  forward(
    route: Pick<UpstreamRoute, 'upstream' | 'timeoutMs'>,
    request: UpstreamRequest,
  ): Promise<UpstreamAnswer> {
    const exchange = this.exchange(route, request);
    this.underWay.add(exchange);
    const done = () => this.underWay.delete(exchange);
    exchange.then(done, done);
    return exchange;
  }

  /** Waits for what is under way, then closes every connection. Nothing is forwarded any more. */
  async close(): Promise<void> {
    this.isClosed = true;
    await Promise.allSettled(this.underWay);
    await Promise.all([...this.pools.values()].map((pool) => pool.destroy()));
  }

  private async exchange(
    { upstream, timeoutMs }: Pick<UpstreamRoute, 'upstream' | 'timeoutMs'>,
    { method, target, headers, body, signal, onSending: sending = () => {} }: UpstreamRequest,
  ): Promise<UpstreamAnswer> {
    if (NOT_FORWARDED.has(method)) {
      throw new CountersignError('method-not-allowed', `${method} is not forwarded.`, {
        headers: { Allow: ALLOW },
      });
    }
    if (this.isClosed) {
      throw new CountersignError('upstream-unreachable', 'The gateway is stopping; call again.');
    }
    if (signal?.aborted) throw callerGone();
    return new Promise((resolve, reject) => {
      const giveUp = () => exchange.fail(callerGone());
      const settled = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', giveUp);
      };
      const exchange = new Exchange(method, this.maxBody, { sending, resolve, reject, settled });
      const timer = setTimeout(() => exchange.fail(timedOut(timeoutMs)), timeoutMs);
      signal?.addEventListener('abort', giveUp);
      this.pool(upstream).dispatch({ path: target, method, headers, body }, exchange);
    });
  }

  private pool(origin: string): Pool {
    const known = this.pools.get(origin);
    if (known) return known;
    const pool = new Pool(origin, {
      connections: MOST_CONNECTIONS,
      pipelining: 1,
      connectTimeout: CONNECT_TIMEOUT_MS,
      maxHeaderSize: MOST_HEADER_BYTES,
      // One timer of our own covers the whole exchange.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    this.pools.set(origin, pool);
    return pool;
  }
}

function timedOut(timeoutMs: number): CountersignError {
  return new CountersignError(
    'upstream-timeout',
    `The upstream behind this route gave no complete answer within ${timeoutMs / 1000} s. Whether it acted upon the request is unknown.`,
  );
}

function callerGone(): CountersignError {
  return new CountersignError('connection-lost', 'The caller went away before the upstream had answered.');
}
