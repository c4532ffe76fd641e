/** Times and durations as operators write them. */
import { describe, expect, it } from 'vitest';
import { parseDuration, parseTime } from '../../src/cli/time.ts';

describe('a time', () => {
  it.each([
    ['2027-01-31', Date.UTC(2027, 0, 31)],
    ['2028-02-29', Date.UTC(2028, 1, 29)],
    ['2027-01-31T12:30Z', Date.UTC(2027, 0, 31, 12, 30)],
    ['2027-01-31T12:30:15Z', Date.UTC(2027, 0, 31, 12, 30, 15)],
    ['2027-01-31T00:30:00+02:00', Date.UTC(2027, 0, 30, 22, 30)],
  ])('%s is one', (text, expected) => expect(parseTime(text)).toBe(expected / 1000));

  it.each([
    ['30d', 30 * 86_400],
    ['12h', 12 * 3600],
    ['45m', 45 * 60],
    ['0s', 0],
  ])('%s is counted from now', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
    const before = Math.floor(Date.now() / 1000);
    const at = parseTime(text) - seconds;
    expect(at).toBeGreaterThanOrEqual(before);
    expect(at).toBeLessThanOrEqual(Date.now() / 1000);
  });

  it.each([
    '',
    'soon',
    '30',
    '30 d',
    '-5d',
    '5w',
    '1.5h',
    '2027-02-31',
    '2027-02-29',
    '2027-13-01',
    '2027-01-00',
    '2027-01-01T12:00',
    '2027-01-01T25:00Z',
    '2027-01-01 12:00Z',
    '2027-01',
    '1800000000',
    '2027-01-31\n',
  ])('%j is none', (text) => expect(() => parseTime(text)).toThrow(/^Write /));

  it.each(['', '5', 'd', '-5d', '2027-01-31', '1e3s'])('the duration %j is none', (text) =>
    expect(() => parseDuration(text)).toThrow(/^Write /),
  );
});
