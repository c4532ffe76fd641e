/**
 * Refuses calls beyond what the process can hold in flight, before any work.
 * @module
 */
import { CountersignError } from '../../errors.ts';
import type { Stage } from '../call.ts';

export function shedLoad({ mostInFlight }: { mostInFlight: number }): Stage {
  let inFlight = 0;
  return async function shedLoad(_ctx, next) {
    if (inFlight >= mostInFlight) {
      throw new CountersignError('overloaded', 'Too many calls are in flight; send it again in a second.', {
        headers: { 'Retry-After': '1' },
      });
    }
    inFlight++;
    try {
      await next();
    } finally {
      inFlight--;
    }
  };
}
