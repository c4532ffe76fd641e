/**
 * A clock that a test sets, in whole seconds.
 * @module
 */
import type { Clock } from '../../src/clock.ts';

export class ManualClock implements Clock {
  seconds: number;

  constructor(seconds = 1_800_000_000) {
    this.seconds = seconds;
  }

  now(): number {
    return this.seconds * 1000;
  }
}
