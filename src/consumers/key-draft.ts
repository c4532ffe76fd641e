/**
 * What may be asked of a new key. Every fault is told at once, by its path, so that the command line and the
 * management API answer from the same list.
 * @module
 */
import { addressFault } from './address-list.ts';
import { certificateUriFault } from './certificate-uri.ts';
import { type ConsumerKey, type Fault, KEY_LIFE, roleFaults } from './consumer.ts';

/** Times are whole seconds since the epoch. What is left out has its default, or no limit. */
export interface KeyDraft {
  readonly label?: string | undefined;
  /** Default: now. */
  readonly notBefore?: number | undefined;
  /** Default: 90 days after `notBefore`; 400 at most. */
  readonly notAfter?: number | undefined;
  readonly roleSubset?: readonly string[] | undefined;
  readonly allow?: readonly string[] | undefined;
  readonly certificateUri?: string | undefined;
}

const DAY = 24 * 3600;

/** Whoever wants a key for years wants a reminder to rotate it. */
export const MOST_KEY_LIFE = 400 * DAY;
/** For which the key that was rotated stays good: 24 hours. */
export const OVERLAP = DAY;

/** A caller's "now" is a little old when it gets here. */
const MOST_LATE = 60;
const MOST_ENTRIES = 64;
const LABEL = /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]{1,100}$/u;

export function checkKeyDraft(draft: KeyDraft, now: number): Fault[] {
  const { label, roleSubset, allow, certificateUri } = draft;
  const faults = timeFaults(draft, now);
  if (label !== undefined && (!LABEL.test(label) || label.trim() !== label)) {
    faults.push({ path: 'label', detail: 'the label must be one line of 1 to 100 characters' });
  }
  for (const [path, list] of [
    ['roleSubset', roleSubset],
    ['allow', allow],
  ] as const) {
    if (list && list.length > MOST_ENTRIES)
      faults.push({ path, detail: `there are ${list.length} entries; ${MOST_ENTRIES} at most` });
  }
  faults.push(...roleFaults('roleSubset', roleSubset ?? []));
  if (allow?.length === 0)
    faults.push({ path: 'allow', detail: 'nobody could use the key: name an address, or leave it out' });
  allow?.forEach((entry, i) => {
    const detail = addressFault(entry);
    if (detail) faults.push({ path: `allow[${i}]`, detail });
  });
  const uriFault = certificateUri === undefined ? undefined : certificateUriFault(certificateUri);
  if (uriFault) faults.push({ path: 'certificateUri', detail: uriFault });
  return faults;
}

/** The dates of a draft, with its defaults. */
export function datesOf({ notBefore, notAfter }: KeyDraft, now: number) {
  const begin = notBefore ?? now;
  return { notBefore: begin, notAfter: notAfter ?? begin + KEY_LIFE };
}

function timeFaults({ notBefore, notAfter }: KeyDraft, now: number): Fault[] {
  const faults: Fault[] = [];
  const tell = (path: string, detail: string) => faults.push({ path, detail });
  const begin = notBefore ?? now;
  if (!Number.isSafeInteger(begin)) tell('notBefore', 'it must be a time in whole seconds');
  else if (begin < now - MOST_LATE) tell('notBefore', 'it lies in the past');
  else if (begin > now + MOST_KEY_LIFE) tell('notBefore', 'it lies more than 400 days ahead');
  if (notAfter === undefined) return faults;
  if (!Number.isSafeInteger(notAfter)) tell('notAfter', 'it must be a time in whole seconds');
  else if (notAfter <= now) tell('notAfter', 'the end lies in the past');
  else if (notAfter <= begin) tell('notAfter', 'the end must lie after the beginning');
  else if (notAfter - begin > MOST_KEY_LIFE) tell('notAfter', 'a key lives 400 days at most');
  return faults;
}

/** Of an overlap, in seconds: the old key must not be asked to live beyond its own end. */
export function checkOverlap({ notAfter }: ConsumerKey, now: number, overlap: number): Fault[] {
  const remaining = notAfter - now;
  if (Number.isSafeInteger(overlap) && overlap >= 0 && overlap <= remaining) return [];
  const detail =
    overlap > remaining
      ? `the old key ends by itself in ${remaining} s, before the overlap does`
      : 'the overlap must be a number of whole seconds, 0 or more';
  return [{ path: 'overlap', detail }];
}
