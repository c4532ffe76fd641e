/**
 * Follows the roots that callers' certificates must come from, while the gateway runs: a root that was taken out of the
 * bundle is trusted by no connection any more, be it open already.
 * @module
 */
import type { Logger } from 'pino';

/** Milliseconds. The file is small, and read rather than watched: folders on shares can't be watched. */
const POLL_INTERVAL_MS = 1000;

export interface TrustWatchParts {
  /** The roots in PEM as they lie in the data folder now; throws where there are none. */
  readonly read: () => string;
  readonly onChange: () => void;
  readonly logger: Logger;
}

export class TrustWatch {
  private readonly parts: TrustWatchParts;
  private readonly timer: NodeJS.Timeout;
  private known: string;
  private failure = '';

  /** What is read now counts as known: what listeners are made with. Throws as `read` does. */
  constructor(parts: TrustWatchParts) {
    this.parts = parts;
    this.known = parts.read();
    this.timer = setInterval(() => this.look(), POLL_INTERVAL_MS).unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private look(): void {
    const { read, onChange, logger } = this.parts;
    try {
      const roots = read();
      this.failure = '';
      if (roots === this.known) return;
      onChange();
      this.known = roots;
      logger.warn('the trusted roots were changed: callers with a certificate must connect anew');
    } catch (error) {
      // Told once, and tried again: what was trusted before stays so.
      const { message } = error as Error;
      if (message !== this.failure) logger.error({ err: error }, 'the trusted roots could not be taken over');
      this.failure = message;
    }
  }
}
