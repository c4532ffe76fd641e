/**
 * A logger whose lines a test reads.
 * @module
 */
import { type Logger, pino } from 'pino';

export interface LogLine {
  readonly level: number;
  readonly msg?: string;
  readonly [name: string]: unknown;
}

export interface CapturedLog {
  readonly logger: Logger;
  /** Since the last `clear()`. */
  readonly lines: readonly LogLine[];
  /** The same as they would be printed. */
  text(): string;
  clear(): void;
}

export function capturedLog(): CapturedLog {
  let printed: string[] = [];
  return {
    logger: pino({ base: null, level: 'trace' }, { write: (line: string) => void printed.push(line) }),
    get lines() {
      return printed.map((line) => JSON.parse(line) as LogLine).filter(({ msg }) => msg !== 'listening');
    },
    text: () => printed.join(''),
    clear: () => {
      printed = [];
    },
  };
}
