/**
 * The issuer's ledger: JSON lines, each with the hash of the one before, synced before what it speaks of leaves the box.
 * @module
 */
import type { Clock } from '../clock.ts';

/** What happened; `event` names the kind (`root`, `issue`, `reject`, `enrol`, …), the rest is of that kind. */
export interface LedgerEvent {
  readonly event: string;
  readonly [member: string]: unknown;
}

export interface LedgerRow extends LedgerEvent {
  /** From 1, without a gap. */
  readonly seq: number;
  /** Epoch seconds. */
  readonly at: number;
  /** The hash of the row before, hex; of the first, 64 zeros. */
  readonly prev: string;
  /** SHA-256 of the line up to this member, hex. */
  readonly hash: string;
}

/** Not for two at once: hold the issuer's lock while you append. */
export class Ledger {
  /** Reads and checks the whole file; one that isn't there is empty. `ledger-broken` with the line. */
  constructor(_dir: string) {}

  get last(): LedgerRow | undefined {
    throw new Error('being built');
  }

  rows(): Iterable<LedgerRow> {
    throw new Error('being built');
  }

  /** Appends and syncs. `clock-untrusted` where the clock stands before the newest row. */
  append(_event: LedgerEvent, _clock: Clock): LedgerRow {
    throw new Error('being built');
  }

  /** `clock-untrusted` before the newest row, or, unless accepted, more than 24 h after it. */
  checkClock(_clock: Clock, _isAccepted = false): void {
    throw new Error('being built');
  }
}
