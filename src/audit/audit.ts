/**
 * The audit record: what was decided, by whom, and why. Each row is chained to the one before it by an HMAC under a
 * key that never leaves the vault, so that no row can be changed, left out or put in without being found.
 * @module
 */
import { createHmac } from 'node:crypto';

/** What is recorded. Never a secret, never a header field or a body. */
export interface AuditEvent {
  /** Who: a pseudonymous id (`Consumer.id`), or `cli` for whoever holds the data folder. */
  readonly actor: string;
  /** What, in the form `noun.verb`, such as `key.revoke`; `call.refused` for a refusal after a good MAC. */
  readonly action: string;
  /** What it was done to: a consumer's name, a keyid, a route. */
  readonly subject: string;
  /** Why, or how: the code of a refusal, the fields that were changed. */
  readonly detail?: Readonly<Record<string, unknown>>;
  readonly keyid?: string;
  readonly requestId?: string;
}

/** A row of the chain. `seq` counts from 1 without gaps; `at` is in epoch seconds. */
export interface AuditRow extends Omit<AuditEvent, 'detail'> {
  /** JSON, as it is stored: the MAC is over its very bytes. */
  readonly detail?: string;
  readonly seq: number;
  readonly at: number;
  /** The audit key that the MAC was made with. */
  readonly keyVersion: number;
  readonly mac: Buffer;
}

/** Inside a unit of work: what can't be recorded isn't done. */
export interface AuditTrail {
  append(event: AuditEvent): void | Promise<void>;
}

/** The end of the chain, to be kept elsewhere (it goes to the log): a chain that is shorter has been cut. */
export interface AuditHead {
  readonly seq: number;
  /** Base64; empty where there is no row yet. */
  readonly mac: string;
}

export interface AuditReader {
  head(): AuditHead;
  /** Rows in order, from `after` (exclusive). */
  rows(filter?: AuditFilter): Iterable<AuditRow>;
}

export interface AuditFilter {
  readonly after?: number;
  readonly keyid?: string;
  /** Epoch seconds. */
  readonly since?: number;
}

/** The MAC that stands before the first row. */
export const CHAIN_START = Buffer.alloc(32);

/** The MAC of a row, over the row before it and every one of its own columns. */
export function auditMac(key: Buffer, before: Buffer, row: Omit<AuditRow, 'mac'>): Buffer {
  const { seq, at, keyVersion, actor, action, subject, detail, keyid, requestId } = row;
  const columns = [
    seq,
    at,
    keyVersion,
    actor,
    action,
    subject,
    detail ?? null,
    keyid ?? null,
    requestId ?? null,
  ];
  return createHmac('sha256', key).update(before).update(JSON.stringify(columns)).digest();
}

export interface AuditFault {
  readonly seq: number;
  readonly why: string;
}

/**
 * Walks the chain.
 * @param keys audit keys by version.
 * @param head the newest end of the chain that is known from elsewhere.
 * @returns the first fault, or undefined where the chain is whole.
 */
export function verifyChain(
  rows: Iterable<AuditRow>,
  keys: ReadonlyMap<number, Buffer>,
  head?: AuditHead,
): AuditFault | undefined {
  let before: Buffer = CHAIN_START;
  let seq = 0;
  let passedHead = head === undefined || head.seq === 0;
  for (const row of rows) {
    seq++;
    if (row.seq !== seq) return { seq, why: `row ${seq} is missing` };
    const key = keys.get(row.keyVersion);
    if (!key) return { seq, why: `it names the audit key ${row.keyVersion}, which is not there` };
    if (!auditMac(key, before, row).equals(row.mac))
      return { seq, why: 'its MAC does not hold: it, or the row before it, was changed' };
    if (head && row.seq === head.seq) {
      if (row.mac.toString('base64') !== head.mac) return { seq, why: 'its MAC is not that of the head' };
      passedHead = true;
    }
    before = row.mac;
  }
  if (!passedHead)
    return {
      seq: seq + 1,
      why: `the chain ends after row ${seq}; the head says ${head?.seq}: its tail was cut`,
    };
  return undefined;
}
