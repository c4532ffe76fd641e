/** When passes are made: on the schedule, and at once for what sleep or a stop has missed. The clock is a fake one. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Schedule } from '../../src/issuer/schedule.ts';
import { PassWatch, TICK_MS } from '../../src/issuer/watch.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

// Of the box's own time zone, as a cron line is.
const MIDNIGHT = new Date(2026, 10, 22).getTime();

beforeEach(() => {
  vi.useFakeTimers({ now: MIDNIGHT + MINUTE });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A watch on the six-hourly schedule whose passes are recorded. */
function watch(lastPass: number | undefined, end?: () => Promise<void>) {
  const passes: number[] = [];
  const failures: unknown[] = [];
  const made = new PassWatch({
    schedule: new Schedule('0 */6 * * *'),
    clock: Date,
    lastPass,
    onFailure: (error) => failures.push(error),
    async pass() {
      passes.push(Date.now() - MIDNIGHT);
      await end?.();
    },
  });
  made.start();
  return { passes, failures, made };
}

describe('a schedule', () => {
  const schedule = new Schedule('0 */6 * * *');

  it.each([
    ['never before', undefined, 1, true],
    ['within one span', 1, 5, false],
    ['at the very moment', 1, 6, true],
    ['at a moment itself, until the next', 6, 11.99, false],
    ['with one moment missed', 5, 7, true],
    ['with many missed', 5, 500, true],
    ['after the clock stepped back', 7, 1, true],
  ])('is due: last pass %s', (_what, last, now, expected) => {
    const at = (hours: number) => MIDNIGHT + hours * HOUR;
    expect(schedule.isDue(last === undefined ? undefined : at(last), at(now))).toBe(expected);
  });

  it('tells the next moment', () => {
    expect(schedule.next(MIDNIGHT)).toBe(MIDNIGHT + 6 * HOUR);
    expect(schedule.next(MIDNIGHT + 6 * HOUR - 1)).toBe(MIDNIGHT + 6 * HOUR);
  });

  it('is due once a week at least', () => {
    const yearly = new Schedule('0 0 1 1 *');
    expect(yearly.next(MIDNIGHT)).toBe(MIDNIGHT + 7 * 24 * HOUR + MINUTE);
  });

  it.each(['', 'x', '* * * *', '* * * * * *', '@daily', '61 * * * *', '0-99999999 * * * *'])(
    'refuses %j',
    (pattern) => {
      expect(() => new Schedule(pattern)).toThrow(expect.objectContaining({ code: 'config-invalid' }));
    },
  );
});

describe('the issuer that stays', () => {
  it('makes a pass at each moment of its schedule, and none between', async () => {
    const { passes, made } = watch(MIDNIGHT);
    await vi.advanceTimersByTimeAsync(24 * HOUR);
    await made.stop();
    expect(passes.map((at) => Math.round(at / HOUR))).toEqual([6, 12, 18, 24]);
    for (const at of passes) expect(at % HOUR).toBeLessThan(TICK_MS + 1000);
  });

  it('makes one at once at its very first start, and where it was switched off at a moment', async () => {
    for (const last of [undefined, MIDNIGHT - HOUR]) {
      const { passes, made } = watch(last);
      await made.stop();
      expect(passes).toEqual([MINUTE]);
    }
  });

  it('makes one pass, at once, for two runs that it slept through', async () => {
    const { passes, made } = watch(MIDNIGHT);
    await vi.advanceTimersByTimeAsync(5 * HOUR);
    expect(passes).toEqual([]);
    // While a machine sleeps its timers stand still and its clock goes on.
    vi.setSystemTime(MIDNIGHT + 12.5 * HOUR);
    await vi.advanceTimersByTimeAsync(TICK_MS);
    expect(passes).toEqual([12.5 * HOUR + TICK_MS]);
    await vi.advanceTimersByTimeAsync(5 * HOUR);
    expect(passes.length).toBe(1);
    await vi.advanceTimersByTimeAsync(HOUR);
    expect(passes.length).toBe(2);
    await made.stop();
  });

  it('never makes two at once, and its end waits for the one under way', async () => {
    let end = () => {};
    const { passes, made } = watch(undefined, () => new Promise<void>((resolve) => (end = resolve)));
    await vi.advanceTimersByTimeAsync(HOUR);
    void made.passNow();
    expect(passes.length).toBe(1);
    let isStopped = false;
    const stopped = made.stop().then(() => (isStopped = true));
    await vi.advanceTimersByTimeAsync(HOUR);
    expect(isStopped).toBe(false);
    end();
    await stopped;
    await vi.advanceTimersByTimeAsync(24 * HOUR);
    expect(passes.length).toBe(1);
  });

  it('tells a failure, and tries again in minutes until it succeeds', async () => {
    let isBroken = true;
    const { passes, failures, made } = watch(undefined, async () => {
      if (isBroken) throw new Error('the stick is not in');
    });
    await vi.advanceTimersByTimeAsync(1);
    expect(failures.length).toBe(1);
    await vi.advanceTimersByTimeAsync(4 * MINUTE);
    expect(passes.length).toBe(1);
    isBroken = false;
    await vi.advanceTimersByTimeAsync(2 * MINUTE);
    expect(passes.length).toBe(2);
    await vi.advanceTimersByTimeAsync(5 * HOUR);
    expect({ passes: passes.length, failures: failures.length }).toEqual({ passes: 2, failures: 1 });
    await made.stop();
  });

  it('makes a pass when it is asked for one', async () => {
    const { passes, made } = watch(MIDNIGHT);
    await made.passNow();
    expect(passes).toEqual([MINUTE]);
    await made.stop();
  });
});
