/**
 * The bytes of a request's body. A signature covers their digest, so all of them must be known before the first is
 * sent: what comes as a stream is buffered, up to a limit.
 * @module
 */
import { CountersignError } from '../errors.ts';

/** Every kind of body that fetch takes. */
export type MessageBody = NonNullable<RequestInit['body']>;

export interface BodyBytes {
  /** A copy: what the caller does to its own buffer afterwards changes nothing that is signed or sent again. */
  readonly bytes: Buffer;
  /** As fetch would set it, where the caller names none. */
  readonly contentType: string | undefined;
}

/**
 * @param limit bytes, for what must be buffered: streams, forms and blobs.
 * @param signal ends the wait for a stream; the promise then rejects with its reason.
 * @throws `request-invalid` for a body over the limit or of a kind that can't be sent.
 */
export async function readBody(body: MessageBody, limit: number, signal: AbortSignal): Promise<BodyBytes> {
  if (typeof body === 'string') return { bytes: Buffer.from(body), contentType: 'text/plain;charset=UTF-8' };
  if (ArrayBuffer.isView(body)) {
    const { buffer, byteOffset, byteLength } = body;
    return { bytes: Buffer.from(new Uint8Array(buffer, byteOffset, byteLength)), contentType: undefined };
  }
  if (body instanceof ArrayBuffer)
    return { bytes: Buffer.from(new Uint8Array(body)), contentType: undefined };
  if (body instanceof URLSearchParams) {
    const contentType = 'application/x-www-form-urlencoded;charset=UTF-8';
    return { bytes: Buffer.from(body.toString()), contentType };
  }
  if (body instanceof Blob || body instanceof FormData) {
    const { headers, body: stream } = new Response(body);
    const bytes = stream ? await collect(stream, limit, signal) : Buffer.alloc(0);
    return { bytes, contentType: headers.get('content-type') ?? undefined };
  }
  if (isIterable(body)) return { bytes: await collect(body, limit, signal), contentType: undefined };
  throw invalid(
    `a body of this kind (${Object.prototype.toString.call(body)}) can't be sent; pass text, bytes or a stream`,
  );
}

type Chunks = AsyncIterable<unknown> | Iterable<unknown>;

function isIterable(body: object): body is Chunks {
  return Symbol.asyncIterator in body || Symbol.iterator in body;
}

async function collect(body: Chunks, limit: number, signal: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  const iterator = Symbol.asyncIterator in body ? body[Symbol.asyncIterator]() : body[Symbol.iterator]();
  const aborted = whenAborted(signal);
  let done = false;
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), aborted.promise]);
      if (next.done) {
        done = true;
        return Buffer.concat(chunks, length);
      }
      if (!(next.value instanceof Uint8Array)) {
        throw invalid('a stream as a body must give bytes (Uint8Array), and gave something else');
      }
      length += next.value.byteLength;
      if (length > limit) {
        throw invalid(
          `the body exceeds ${limit} bytes. A stream is buffered so that it can be signed; raise maxRequestBody, or send less`,
        );
      }
      chunks.push(Buffer.from(next.value));
    }
  } finally {
    aborted.forget();
    // Not awaited: a stream that is stuck in a read would never answer.
    if (!done) Promise.resolve(iterator.return?.()).catch(() => {});
  }
}

/** A promise that rejects with the signal's reason; `forget` lets go of the signal, which may live on for hours. */
function whenAborted(signal: AbortSignal): { promise: Promise<never>; forget: () => void } {
  let abort = () => {};
  const promise = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
  });
  promise.catch(() => {});
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort, { once: true });
  return { promise, forget: () => signal.removeEventListener('abort', abort) };
}

function invalid(why: string): CountersignError {
  return new CountersignError('request-invalid', `The request can't be signed: ${why}.`);
}
