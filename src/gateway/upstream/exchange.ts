/**
 * One request and its answer, as undici tells of them; and what its errors mean to the caller.
 * @module
 */
import { type Dispatcher, errors } from 'undici';
import { CountersignError } from '../../errors.ts';

export interface UpstreamAnswer {
  readonly status: number;
  /** As they were sent, repeats and all; names in lower case. */
  readonly headers: [name: string, value: string][];
  readonly body: Buffer;
  /**
   * Whether the answer said where it ends. One that ends with its connection may have been cut off, and nobody can
   * tell (RFC 9112 section 8).
   */
  readonly delimited: boolean;
}

interface Outcome {
  /** Called before the first byte is written: from then on the upstream may act upon the request. */
  readonly sending: () => void;
  readonly resolve: (answer: UpstreamAnswer) => void;
  readonly reject: (error: CountersignError) => void;
  /** Called once, however it ends. */
  readonly settled: () => void;
}

export class Exchange implements Dispatcher.DispatchHandler {
  private readonly method: string;
  private readonly maxBody: number;
  private readonly outcome: Outcome;
  private controller: Dispatcher.DispatchController | undefined;
  private isSettled = false;
  private hasBegun = false;
  private status = 0;
  private headers: [string, string][] = [];
  private readonly chunks: Buffer[] = [];
  private size = 0;

  /** @param maxBody bytes that the answer's body may have. */
  constructor(method: string, maxBody: number, outcome: Outcome) {
    this.method = method;
    this.maxBody = maxBody;
    this.outcome = outcome;
  }

  /** Gives up: nothing more is sent or read. */
  fail(error: CountersignError): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.outcome.settled();
    this.controller?.abort(error);
    this.outcome.reject(error);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Given up while it waited for a connection: thrown here, undici drops it before a byte is written.
    if (this.isSettled) throw new Error('given up');
    this.controller = controller;
    this.outcome.sending();
  }

  onResponseStarted(): void {
    this.hasBegun = true;
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    // An interim answer (103 Early Hints) may be ignored (RFC 9110 section 15.2).
    if (status < 200) return;
    if (status > 599) {
      this.fail(invalid('its status is none of HTTP'));
      return;
    }
    this.status = status;
    this.headers = readHeaders(controller.rawHeaders);
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    this.size += chunk.length;
    if (this.size > this.maxBody) this.fail(invalid(`its body exceeds ${this.maxBody} bytes`));
    else this.chunks.push(chunk);
  }

  onResponseEnd(): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.outcome.settled();
    const [first, second] = this.chunks;
    const body = first !== undefined && second === undefined ? first : Buffer.concat(this.chunks, this.size);
    const { status, headers } = this;
    this.outcome.resolve({ status, headers, body, delimited: isDelimited(this.method, status, headers) });
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.fail(this.explain(error));
  }

  private explain(error: Error): CountersignError {
    const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
    // undici 7 gives these no code. Where the connection ended too early, no byte is at fault.
    const hasEnded = 'data' in error && error.data === '';
    const isUnreadable = error instanceof errors.HTTPParserError && !hasEnded;
    if (isUnreadable || code === 'UND_ERR_HEADERS_OVERFLOW') return invalid('it is not HTTP/1.1', code);
    // 100 and 101, which undici refuses; lengths that contradict each other; an end amid the header section.
    const isHeadBroken = this.hasBegun && this.status === 0 && HEAD_BROKEN.has(code);
    if (isHeadBroken) return invalid('its header section is not one of a final answer', code);
    if (OUR_FAULT.has(code)) {
      return new CountersignError('internal-error', 'The request could not be sent on.', { cause: code });
    }
    return new CountersignError(
      'upstream-unreachable',
      'The upstream behind this route could not be reached, or broke off before its answer was complete. Whether it acted upon the request is unknown.',
      { cause: code },
    );
  }
}

const HEAD_BROKEN = new Set(['UND_ERR_SOCKET', 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH']);
const OUR_FAULT = new Set([
  'UND_ERR_INVALID_ARG',
  'UND_ERR_NOT_SUPPORTED',
  'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH',
]);

/** RFC 9112 section 6.3. undici has refused what contradicts itself, and a body that ended before its length. */
function isDelimited(method: string, status: number, headers: UpstreamAnswer['headers']): boolean {
  if (method === 'HEAD' || status === 204 || status === 304) return true;
  return headers.some(
    ([name, value]) =>
      name === 'content-length' ||
      (name === 'transfer-encoding' && /(?:^|[\t ,])chunked[\t ]*$/i.test(value)),
  );
}

/** As Latin-1, so that every byte is seen; undici's own reading takes them for UTF-8. */
function readHeaders(raw: Dispatcher.DispatchController['rawHeaders']): [string, string][] {
  const headers: [string, string][] = [];
  if (!Array.isArray(raw)) return headers;
  const parts = raw.map((part: Buffer | string) =>
    typeof part === 'string' ? part : part.toString('latin1'),
  );
  for (let i = 0; i + 1 < parts.length; i += 2) {
    headers.push([(parts[i] as string).toLowerCase(), parts[i + 1] as string]);
  }
  return headers;
}

/** The cause is undici's code alone: its errors hold bytes of the answer, which no log may show. */
function invalid(why: string, code?: string): CountersignError {
  return new CountersignError('upstream-invalid', `The upstream's answer can't be passed on: ${why}.`, {
    cause: code,
  });
}
