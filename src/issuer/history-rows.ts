/**
 * The rows of the ledger that its history is read from: what each kind must hold, and how those of requests are made, so that
 * writer and reader agree.
 * @module
 */
import { z } from 'zod';
import type { Leaf } from './leaf.ts';
import type { LedgerEvent } from './ledger.ts';
import type { CertificateUse, Names } from './names.ts';

/** A request whose signature held, as the ledger names it. */
export interface SeenRequest {
  readonly id: string;
  readonly requester: string;
  /** Fingerprint of the request key: sequences are counted by key. */
  readonly requestKey: string;
  readonly sequence: number;
  /** SHA-256 of the bytes of `ID.json`, in hex. */
  readonly document: string;
}

export const requestRow = z.object({
  id: z.string(),
  requester: z.string(),
  requestKey: z.string(),
  sequence: z.number(),
  document: z.string(),
});

const names = z.object({
  dns: z.array(z.string()),
  ip: z.array(z.string()),
  uri: z.array(z.string()),
});

export const issueRow = z.object({
  event: z.literal('issue'),
  serial: z.string(),
  fingerprint: z.string(),
  notAfter: z.number(),
  names,
});
export const rejectRow = requestRow.extend({
  event: z.literal('reject'),
  code: z.string(),
  detail: z.string(),
});
export const bundleRow = z.object({
  event: z.literal('bundle'),
  version: z.number(),
  created: z.number(),
  digest: z.string(),
  roots: z.array(z.string()),
});
export const acknowledgeRow = z.object({
  event: z.literal('acknowledge'),
  requestKey: z.string(),
  version: z.number(),
});
export const rootRow = z.object({ event: z.literal('root'), fingerprint: z.string() });
export const rotateRow = z.object({ event: z.literal('rotate'), root: z.string() });
export const enrolRow = z.object({
  event: z.literal('enrol'),
  requester: z.string(),
  requestKey: z.string(),
});
export const passRow = z.object({
  event: z.literal('pass'),
  started: z.number(),
  isWhole: z.boolean(),
  schedule: z.string().optional(),
});

/** A row for a leaf. @param request absent where the operator vouches for it by hand. */
export function issueEvent(
  leaf: Leaf,
  {
    names,
    use,
    keyDigest,
  }: { readonly names: Names; readonly use: CertificateUse; readonly keyDigest: string },
  request?: SeenRequest,
): LedgerEvent {
  const { serial, fingerprint, notBefore, notAfter } = leaf;
  return { event: 'issue', ...request, names, use, keyDigest, serial, fingerprint, notBefore, notAfter };
}

export function rejectEvent(request: SeenRequest, code: string, detail: string): LedgerEvent {
  return { event: 'reject', ...request, code, detail };
}

/**
 * @param started epoch seconds.
 * @param isWhole whether the files of all that was decided are where they belong; what isn't, the next pass does.
 * @param schedule that passes are made on; undefined where this one was asked for by itself.
 */
export function passEvent(
  started: number,
  isWhole: boolean,
  schedule: string | undefined,
  counts: Readonly<Record<string, number>>,
): LedgerEvent {
  return { event: 'pass', started, isWhole, ...(schedule !== undefined && { schedule }), ...counts };
}
