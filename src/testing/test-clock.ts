/**
 * Time as a test sets it.
 * @module
 */
import type { Clock } from '../clock.ts';

/** A clock that stands still until it is moved. */
export class TestClock implements Clock {
  private milliseconds: number;

  /** @param at a date, or milliseconds since the epoch. Default: now. */
  constructor(at: Date | number = Date.now()) {
    this.milliseconds = Number(at);
  }

  now(): number {
    return this.milliseconds;
  }

  /** Sets the time, forwards or backwards: a date, or milliseconds since the epoch. */
  set(at: Date | number): void {
    this.milliseconds = Number(at);
  }

  /** Moves by seconds, backwards where they are negative. */
  advance(seconds: number): void {
    this.milliseconds += seconds * 1000;
  }
}
