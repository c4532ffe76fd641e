/**
 * What a running gateway does about keys beside the calls: writes down how they were used, and warns before they end.
 * @module
 */
import type { Logger } from 'pino';
import { type Clock, epochSeconds } from '../clock.ts';
import type { ConsumerReader } from '../consumers/consumer.ts';
import { DailyReminder, expiryWarnings } from '../consumers/expiry.ts';
import type { UsageCount } from '../consumers/usage.ts';
import type { CommitGroup } from '../storage/unit-of-work.ts';

export const USAGE_INTERVAL_MS = 10_000;
const WARNING_INTERVAL_MS = 3_600_000;

export interface KeyWatchParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly consumers: ConsumerReader;
  readonly commitGroup: CommitGroup;
  readonly usage: UsageCount;
}

export class KeyWatch {
  private readonly parts: KeyWatchParts;
  private readonly reminder = new DailyReminder();
  private timers: NodeJS.Timeout[] = [];

  constructor(parts: KeyWatchParts) {
    this.parts = parts;
  }

  start(): void {
    this.warn();
    this.timers = [
      setInterval(() => void this.writeUsage(), USAGE_INTERVAL_MS),
      setInterval(() => this.warn(), WARNING_INTERVAL_MS),
    ];
    for (const timer of this.timers) timer.unref();
  }

  /** Writes what is left. The store must still be open. */
  async stop(): Promise<void> {
    for (const timer of this.timers) clearInterval(timer);
    await this.writeUsage();
  }

  /** One commit, and none where no key was used. */
  private async writeUsage(): Promise<void> {
    const { usage, commitGroup, logger } = this.parts;
    try {
      await usage.flush((batch) =>
        commitGroup.run('write the usage of keys', async (tx) => {
          for (const [keyid, used] of batch) await tx.consumers.addUsage(keyid, used);
        }),
      );
    } catch (error) {
      logger.warn({ err: error }, 'the usage of keys could not be written; it is tried again');
    }
  }

  private warn(): void {
    const { consumers, clock, logger } = this.parts;
    const now = epochSeconds(clock);
    try {
      const warnings = expiryWarnings(consumers.standingKeys(now), now);
      for (const { keyid, consumer, threshold, detail } of this.reminder.due(warnings, now)) {
        logger.warn({ keyid, consumer, days: threshold, detail }, 'a key is about to end');
      }
    } catch (error) {
      logger.warn({ err: error }, 'the ends of keys could not be looked at');
    }
  }
}
