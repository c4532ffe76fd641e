/**
 * The end of a call's patience: the caller's own signal, and a timer over the whole call.
 * @module
 */
import { CountersignError } from '../errors.ts';

export interface Deadline {
  /** Aborts with the caller's own reason, or with `timeout`. */
  readonly signal: AbortSignal;
  /** Milliseconds until the timer ends the call. */
  remaining(): number;
  /** Stops the timer and lets go of the caller's signal, which may live much longer than the call. */
  end(): void;
}

/** The longest that a Node timer can wait. */
const MOST_TIMEOUT = 2 ** 31 - 1;

/** @param timeout milliseconds; `Infinity` for none. */
export function startDeadline(timeout: number, callersSignal: AbortSignal | undefined): Deadline {
  const controller = new AbortController();
  const ends = performance.now() + timeout;
  const timer =
    timeout <= MOST_TIMEOUT ? setTimeout(() => controller.abort(timedOut(timeout)), timeout) : undefined;
  const follow = () => controller.abort(callersSignal?.reason);
  if (callersSignal?.aborted) follow();
  else callersSignal?.addEventListener('abort', follow, { once: true });
  return {
    signal: controller.signal,
    remaining: () => ends - performance.now(),
    end() {
      clearTimeout(timer);
      callersSignal?.removeEventListener('abort', follow);
    },
  };
}

function timedOut(timeout: number): CountersignError {
  return new CountersignError(
    'timeout',
    `No whole answer came within ${timeout} ms. The request may have been carried out.`,
  );
}
