/**
 * Refusals of callers that are known, and that come again and again. The first of a minute have a row each; beyond them they are
 * counted, since whoever has seen one signed message can send it as often as he likes, for ever, and a row each would
 * let him fill the disk.
 * @module
 */
import type { AuditEvent } from './audit.ts';

/** Rows a minute for one key and one code. */
export const ROWS_A_MINUTE = 20;

/** What a refusal is told apart by: as many kinds as there are keys and codes. */
export interface RefusalKind {
  readonly actor: string;
  /** Undefined for a person. */
  readonly keyid: string | undefined;
  readonly code: string;
}

interface Tally {
  readonly kind: RefusalKind;
  rows: number;
  counted: number;
}

export class RepeatedRefusals {
  private tallies = new Map<string, Tally>();

  /** @returns whether this one is to have a row of its own; otherwise it is counted here. */
  admit(kind: RefusalKind): boolean {
    const tally = this.tallyOf(kind);
    if (tally.rows < ROWS_A_MINUTE) {
      tally.rows++;
      return true;
    }
    tally.counted++;
    return false;
  }

  /** What was counted since the last time; the counting starts anew. */
  take(): AuditEvent[] {
    const taken = [...this.tallies.values()].filter(({ counted }) => counted > 0);
    this.tallies = new Map();
    return taken.map(({ kind: { actor, keyid, code }, counted }) => ({
      actor,
      action: 'calls.refused',
      subject: 'gateway',
      ...(keyid !== undefined && { keyid }),
      detail: { code, count: counted },
    }));
  }

  /** Counts again what was taken and could not be written. */
  putBack(events: readonly AuditEvent[]): void {
    for (const { actor, keyid, detail } of events) {
      const { code, count } = detail as { code: string; count: number };
      this.tallyOf({ actor, keyid, code }).counted += count;
    }
  }

  private tallyOf(kind: RefusalKind): Tally {
    const key = `${kind.keyid}\n${kind.code}`;
    let tally = this.tallies.get(key);
    if (!tally) {
      tally = { kind, rows: 0, counted: 0 };
      this.tallies.set(key, tally);
    }
    return tally;
  }
}
