/**
 * Keys that are about to end: told 14, 7 and 1 days before, so that nobody learns of it from a refusal.
 * @module
 */
import type { ConsumerKey, KeyTerm } from './consumer.ts';
import { PUBLIC_DEMO } from './public-demo.ts';

const DAY = 24 * 3600;

/** Days before the end, the most urgent first. */
const WARNING_DAYS = [1, 7, 14] as const;

export interface ExpiryWarning extends KeyTerm {
  /** With a fraction. */
  readonly daysLeft: number;
  readonly threshold: (typeof WARNING_DAYS)[number];
  /** What to do, for people. */
  readonly detail: string;
}

export function daysLeft({ notAfter }: Pick<KeyTerm, 'notAfter'>, now: number): number {
  return (notAfter - now) / DAY;
}

/** Whether calls still come with a key that has a successor: its consumer hasn't taken the new secret everywhere. */
export function isUsedAfterRotation({ supersededAt, lastUsed }: KeyTerm): boolean {
  return supersededAt !== undefined && lastUsed !== undefined && lastUsed > supersededAt;
}

/**
 * Who is to be warned of. A key that has a successor ends as it should, unless it is still used.
 * @param keys such as `ConsumerReader.standingKeys()` gives.
 */
export function expiryWarnings(keys: Iterable<KeyTerm>, now: number): ExpiryWarning[] {
  const warnings: ExpiryWarning[] = [];
  for (const key of keys) {
    const left = daysLeft(key, now);
    const threshold = WARNING_DAYS.find((days) => left <= days);
    if (threshold === undefined || left <= 0) continue;
    // Renewed by the gateway itself.
    if (key.consumer === PUBLIC_DEMO) continue;
    if (key.supersededAt !== undefined && !isUsedAfterRotation(key)) continue;
    warnings.push({ ...key, daysLeft: left, threshold, detail: sentence(key, left) });
  }
  return warnings;
}

function sentence({ keyid, consumer, notAfter, supersededAt }: KeyTerm, left: number): string {
  const hours = Math.ceil(left * 24);
  const when = left >= 2 ? `${Math.floor(left)} days` : hours === 1 ? 'an hour' : `${hours} hours`;
  const advice =
    supersededAt === undefined
      ? `run: countersign key rotate ${keyid}`
      : `it has a successor, but ${consumer} still uses it: put the new secret in place`;
  return `The key ${keyid} of ${consumer} ends in ${when}, at ${isoTime(notAfter)}; ${advice}`;
}

/** Keeps a warning from being told more than once a day for a key and a threshold. */
export class DailyReminder {
  private told = new Map<string, number>();

  /** The warnings that are due now; they count as told. */
  due(warnings: readonly ExpiryWarning[], now: number): ExpiryWarning[] {
    const before = this.told;
    // What is no longer warned of is forgotten with it.
    this.told = new Map();
    return warnings.filter(({ keyid, threshold }) => {
      const name = `${keyid} ${threshold}`;
      const last = before.get(name);
      const isDue = last === undefined || now - last >= DAY;
      this.told.set(name, isDue ? now : last);
      return isDue;
    });
  }
}

export type KeyStatus = 'revoked' | 'expired' | 'not yet valid' | 'superseded' | 'expiring' | 'active';

/** In one word, the gravest first; `superseded` and `expiring` keys are still good. */
export function keyStatus(key: ConsumerKey, now: number): KeyStatus {
  if (key.revokedAt !== undefined) return 'revoked';
  if (now >= key.notAfter) return 'expired';
  if (now < key.notBefore) return 'not yet valid';
  if (key.successor !== undefined) return 'superseded';
  return daysLeft(key, now) <= WARNING_DAYS[2] ? 'expiring' : 'active';
}

function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
