/**
 * What is written down each minute and at the stop: the refusals that are counted, and the head of the chain, which
 * goes to the log so that it lies elsewhere than the record.
 * @module
 */
import type { Logger } from 'pino';
import type { AuditEvent, AuditHead, AuditReader } from './audit.ts';

/** The message of the lines that `audit verify --head-file` looks for; they have `seq` and `mac`. */
export const HEAD_MESSAGE = 'audit head';

/** Calls that are counted, and written down by the minute. */
export interface CountedCalls {
  take(): AuditEvent[];
  putBack(events: readonly AuditEvent[]): void;
}

export interface MinutesParts {
  readonly counted: readonly CountedCalls[];
  readonly reader: AuditReader;
  /** Writes rows in one unit of work, after all that was asked for before. */
  readonly append: (events: readonly AuditEvent[]) => Promise<void>;
  readonly logger: Logger;
}

export class Minutes {
  private readonly parts: MinutesParts;
  private told: AuditHead = { seq: 0, mac: '' };
  private running: Promise<void> = Promise.resolve();

  constructor(parts: MinutesParts) {
    this.parts = parts;
  }

  /** Never rejects: what can't be written now is written at the next time, and the log says so. */
  write(): Promise<void> {
    this.running = this.running.then(() => this.writeOnce());
    return this.running;
  }

  private async writeOnce(): Promise<void> {
    const { counted, append, logger } = this.parts;
    const taken = counted.map((calls) => ({ calls, events: calls.take() }));
    try {
      await append(taken.flatMap(({ events }) => events));
    } catch (error) {
      for (const { calls, events } of taken) calls.putBack(events);
      logger.error({ err: error }, 'refused calls could not be recorded');
    }
    try {
      this.tellHead();
    } catch (error) {
      logger.error({ err: error }, 'the head of the audit record could not be read');
    }
  }

  private tellHead(): void {
    const { reader, logger } = this.parts;
    const head = reader.head();
    if (head.seq === this.told.seq && head.mac === this.told.mac) return;
    if (!this.goesThrough(this.told)) {
      logger.error({ seq: this.told.seq, mac: this.told.mac }, 'the audit record was rewritten');
    }
    this.told = head;
    logger.info({ seq: head.seq, mac: head.mac }, HEAD_MESSAGE);
  }

  /** Whether the chain still has what was its end a minute ago. */
  private goesThrough({ seq, mac }: AuditHead): boolean {
    if (seq === 0) return true;
    for (const link of this.parts.reader.links(seq - 1)) {
      return link.seq === seq && link.mac.toString('base64') === mac;
    }
    return false;
  }
}
