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
  /** Those of calls alone. */
  readonly calls: readonly LogLine[];
  /** Resolves once so many lines with this message stand there. */
  until(message: string, count: number): Promise<void>;
  clear(): void;
}

export function capturedLog(): CapturedLog {
  let printed: string[] = [];
  let told = () => {};
  const write = (line: string) => {
    printed.push(line);
    told();
  };
  return {
    logger: pino({ base: null, level: 'trace' }, { write }),
    get lines() {
      return printed.map((line) => JSON.parse(line) as LogLine).filter(({ msg }) => msg !== 'listening');
    },
    text: () => printed.join(''),
    get calls() {
      return this.lines.filter(({ msg }) => msg === 'call');
    },
    async until(message, count) {
      while (this.lines.filter(({ msg }) => msg === message).length < count) {
        await new Promise<void>((resolve) => {
          told = resolve;
        });
      }
    },
    clear: () => {
      printed = [];
    },
  };
}
