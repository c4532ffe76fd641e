/**
 * When passes are due: a cron line (node-cron), and the rule that a moment of it which went by without a pass is made
 * up for by one pass, however many went by: asleep, switched off, or busy.
 * @module
 */
import { createTask, type ScheduledTask, validate } from 'node-cron';
import { CountersignError } from '../errors.ts';

/** Half of a leaf's 12 hours. */
export const DEFAULT_SCHEDULE = '0 */6 * * *';

const MINUTE_MS = 60_000;

/** Beyond this a pass is due without looking for the moment that was missed. */
const LOOK_BACK_MINUTES = 7 * 24 * 60;

export class Schedule {
  readonly pattern: string;
  private readonly task: ScheduledTask;

  /** @param pattern five fields: minute, hour, day, month, weekday, in the box's own time zone. `config-invalid`. */
  constructor(pattern: string) {
    if (pattern.trim().split(/\s+/).length !== 5 || !validate(pattern)) {
      throw new CountersignError(
        'config-invalid',
        `"${pattern}" is no schedule: write the five fields of a cron line, such as "${DEFAULT_SCHEDULE}".`,
      );
    }
    this.pattern = pattern;
    this.task = createTask(pattern, () => {});
  }

  /**
   * Whether a moment of the schedule lies after the last pass and not after now. A pass that lies ahead of the clock is
   * reason for another, which will say what is wrong with it.
   * @param last milliseconds since the epoch; undefined where there never was one, and then it is due.
   */
  isDue(last: number | undefined, now: number): boolean {
    if (last === undefined || now < last - MINUTE_MS) return true;
    const newest = Math.floor(now / MINUTE_MS);
    const oldest = Math.floor(last / MINUTE_MS) + 1;
    if (newest - oldest > LOOK_BACK_MINUTES) return true;
    for (let minute = newest; minute >= oldest; minute--) {
      if (this.task.match(new Date(minute * MINUTE_MS))) return true;
    }
    return false;
  }

  /** The next moment after `now`, in milliseconds; undefined where there is none within a week. */
  next(now: number): number | undefined {
    const first = Math.floor(now / MINUTE_MS) + 1;
    for (let minute = first; minute <= first + LOOK_BACK_MINUTES; minute++) {
      if (this.task.match(new Date(minute * MINUTE_MS))) return minute * MINUTE_MS;
    }
    return undefined;
  }

  /** Calls back at each moment from now on, by node-cron's own timer. @returns what stops it. */
  start(callback: () => void): () => void {
    const task = createTask(this.pattern, callback, { suppressMissedWarning: true });
    task.start();
    return () => void task.destroy();
  }
}
