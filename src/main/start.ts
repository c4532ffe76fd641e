/**
 * What every step of a start is given.
 * @module
 */
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import type { Closers } from './closers.ts';

export interface Start {
  /** As it was at the start: what a reload may change is asked of the settings. */
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whoever opens something adds what closes it, at once. */
  readonly closers: Closers;
}
