/**
 * The issuer that stays: a pass at each moment of its schedule, and at once where one went by without it. node-cron
 * tells the moments; a tick beside it looks at the clock itself, since timers stand still while a machine sleeps, and
 * the clock may be put forward.
 * @module
 */
import type { Clock } from '../clock.ts';
import type { Schedule } from './schedule.ts';

/** Milliseconds between two looks at the clock: how late a missed pass is made up for. */
export const TICK_MS = 10_000;

/** Ticks after a failure before it is tried again: five minutes. */
const PAUSE_TICKS = 30;

export interface WatchOptions {
  readonly schedule: Schedule;
  readonly clock: Clock;
  /** When the last pass began, in milliseconds since the epoch; undefined where there was none. */
  readonly lastPass: number | undefined;
  readonly pass: () => Promise<void>;
  readonly onFailure: (error: unknown) => void;
}

export class PassWatch {
  private readonly options: WatchOptions;
  private last: number | undefined;
  private running: Promise<void> | undefined;
  private pause = 0;
  private stopping: (() => void)[] = [];

  constructor(options: WatchOptions) {
    this.options = options;
    this.last = options.lastPass;
  }

  /** Begins, with a pass at once where one is due. */
  start(): void {
    const tick = setInterval(() => this.tick(), TICK_MS);
    this.stopping = [() => clearInterval(tick), this.options.schedule.start(() => this.look())];
    this.look();
  }

  /** Makes a pass now, or leaves it at the one that is under way. */
  passNow(): Promise<void> {
    this.running ??= this.pass().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  /** Ends, after the pass that may be under way. */
  async stop(): Promise<void> {
    for (const each of this.stopping.splice(0)) each();
    await this.running;
  }

  private tick(): void {
    if (this.pause > 0) this.pause--;
    else this.look();
  }

  private look(): void {
    const { schedule, clock } = this.options;
    if (schedule.isDue(this.last, clock.now())) void this.passNow();
  }

  private async pass(): Promise<void> {
    const { clock, pass, onFailure } = this.options;
    const began = clock.now();
    try {
      await pass();
      this.last = began;
      this.pause = 0;
    } catch (error) {
      this.pause = PAUSE_TICKS;
      onFailure(error);
    }
  }
}
