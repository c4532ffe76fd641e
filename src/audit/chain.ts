/**
 * The chain of the audit record: each row bears an HMAC over itself and the MAC of the row before, under a random key
 * that lies in the database under the master key alone. Who can write the file, and has no master key, can
 * - change, exchange, put in or leave out rows: the first such row is named;
 * - cut the tail off, or put an older file in its place: what is left is whole, so it is held against heads that were
 *   kept elsewhere (the log has one each minute);
 * - replace or remove the audit keys: no row holds then, and no start makes new keys beside old rows.
 * @module
 */
import { createHmac } from 'node:crypto';
import { CountersignError } from '../errors.ts';
import type { AuditHead, ChainLink } from './audit.ts';

/** The MAC that stands before the first row. */
const CHAIN_START = Buffer.alloc(32);

/** The type that a database has stored a value with, and its bytes: as text for numbers, none for null. */
export type StoredValue = readonly [type: string, bytes: Buffer | string];

/** Type and length stand before each value, so that no two rows have the same content. */
export function linkContent(values: Iterable<StoredValue>): Buffer {
  const parts: Buffer[] = [];
  for (const [type, value] of values) {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    parts.push(Buffer.from(`${type}:${bytes.length}:`), bytes);
  }
  return Buffer.concat(parts);
}

/** @param before the MAC of the row before; undefined for the first row. */
export function linkMac(key: Buffer, before: Buffer | undefined, content: Buffer): Buffer {
  return createHmac('sha256', key)
    .update(before ?? CHAIN_START)
    .update(content)
    .digest();
}

export interface ChainReport {
  /** Rows that hold, from the first on. */
  readonly rows: number;
  /** The end of what holds. */
  readonly head: AuditHead;
  /** What is wrong with the first row that doesn't hold. */
  readonly fault?: { readonly seq: number; readonly why: string };
}

/**
 * Walks the chain.
 * @param keys audit keys by version.
 * @param heads ends of the chain that were kept elsewhere, in any order: the chain must go through each.
 */
export function verifyChain(
  links: Iterable<ChainLink>,
  keys: ReadonlyMap<number, Buffer>,
  heads: readonly AuditHead[] = [],
): ChainReport {
  const demanded = macsBySeq(heads);
  let before: Buffer | undefined;
  let seq = 0;
  const report = (why?: string): ChainReport => ({
    rows: seq,
    head: { seq, mac: before?.toString('base64') ?? '' },
    ...(why !== undefined && { fault: { seq: seq + 1, why } }),
  });
  try {
    for (const link of links) {
      const why = faultOf(link, seq + 1, before, keys);
      if (why !== undefined) return report(why);
      const mac = link.mac.toString('base64');
      if (demanded.get(link.seq)?.some((each) => each !== mac)) {
        return report('it holds, but a head that was kept has another MAC: the record was rewritten');
      }
      before = link.mac;
      seq++;
    }
  } catch (error) {
    if (!(error instanceof CountersignError)) throw error;
    return report(`it can't be read: ${error.message}`);
  }
  const newest = Math.max(...demanded.keys());
  return report(
    newest > seq
      ? `it is missing, though a head that was kept says ${newest} rows: the tail was cut off`
      : undefined,
  );
}

function macsBySeq(heads: readonly AuditHead[]): ReadonlyMap<number, readonly string[]> {
  const macs = new Map<number, string[]>();
  for (const { seq, mac } of heads) {
    const known = macs.get(seq);
    if (!known) macs.set(seq, [mac]);
    else if (!known.includes(mac)) known.push(mac);
  }
  return macs;
}

function faultOf(
  { seq, keyVersion, content, mac }: ChainLink,
  expected: number,
  before: Buffer | undefined,
  keys: ReadonlyMap<number, Buffer>,
): string | undefined {
  if (seq !== expected) return `it is missing: row ${seq} stands in its place`;
  const key = keys.get(keyVersion);
  if (!key) return `it names the audit key ${keyVersion}, which there is not`;
  if (linkMac(key, before, content).equals(mac)) return undefined;
  return 'its MAC does not hold: the row was changed';
}
