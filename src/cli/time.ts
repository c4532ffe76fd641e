/**
 * Times and durations as operators write them.
 * @module
 */
import { InvalidArgumentError } from 'commander';
import { epochSeconds, systemClock } from '../clock.ts';

export const TIME_FORMS = '2027-01-31, 2027-01-31T12:00:00Z, or from now: 30d, 12h, 45m';

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 24 * 3600 };
const DURATION = /^(\d{1,9})([smhd])$/;
const DATE = /^(\d{4}-\d{2}-\d{2})(?:T\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2}))?$/;

/** @returns epoch seconds; of a date alone its first second in UTC. */
export function parseTime(text: string): number {
  if (DURATION.test(text)) return epochSeconds(systemClock) + parseDuration(text);
  const [, day = ''] = DATE.exec(text) ?? [];
  const at = Date.parse(text);
  // V8 takes the 31st of February for the 3rd of March.
  if (day === '' || Number.isNaN(at) || !isDay(day)) throw new InvalidArgumentError(`Write ${TIME_FORMS}.`);
  return Math.floor(at / 1000);
}

/** @returns seconds. */
export function parseDuration(text: string): number {
  const [, count, unit = ''] = DURATION.exec(text) ?? [];
  const seconds = UNITS[unit];
  if (seconds === undefined)
    throw new InvalidArgumentError('Write a number with its unit: 30d, 12h, 45m, 0s.');
  return Number(count) * seconds;
}

export function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

function isDay(day: string): boolean {
  const at = Date.parse(day);
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(day);
}
