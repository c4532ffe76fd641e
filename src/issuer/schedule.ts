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

/** A pass is due after a week whatever the schedule: looking for a later moment takes long, and leaves live 12 hours. */
const LONGEST_MINUTES = 7 * 24 * 60;

export class Schedule {
  readonly pattern: string;
  private readonly task: ScheduledTask;
  /** The answer that was given last: it is asked for every few seconds. */
  private known: { readonly after: number; readonly moment: number } | undefined;

  /** @param pattern five fields: minute, hour, day, month, weekday, in the box's own time zone. `config-invalid`. */
  constructor(pattern: string) {
    // No field has a number of three digits, and node-cron writes a range out before it looks.
    if (pattern.trim().split(/\s+/).length !== 5 || /\d{3}/.test(pattern) || !validate(pattern)) {
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
    return last === undefined || now < last - MINUTE_MS || now >= this.next(last);
  }

  /** The next moment after a time, both in milliseconds since the epoch. */
  next(after: number): number {
    if (this.known?.after !== after) this.known = { after, moment: this.find(after) };
    return this.known.moment;
  }

  private find(after: number): number {
    const first = Math.floor(after / MINUTE_MS) + 1;
    let minute = first;
    while (minute < first + LONGEST_MINUTES && !this.task.match(new Date(minute * MINUTE_MS))) minute++;
    return minute * MINUTE_MS;
  }

  /** Calls back at each moment from now on, by node-cron's own timer. @returns what stops it. */
  start(callback: () => void): () => void {
    const task = createTask(this.pattern, callback, { suppressMissedWarning: true });
    task.start();
    return () => void task.destroy();
  }
}
