/**
 * What the ledger knows of requests and leaves: which request was seen, how far each key's sequence has come, who has
 * a name, when the last pass was, and what it left undone. Rows are made here too, so that writer and reader agree.
 *
 * Who has a name: a requester that has a live leaf for it. It may have further leaves for it, with another key each,
 * since a renewal makes a new key while the old leaf still lives; its request key says that it is the same one. Another
 * requester is refused until the last of them has ended, also where the profile would give it the name. A leaf that the
 * operator vouched for by hand takes no name from anybody.
 * @module
 */
import { z } from 'zod';
import type { Leaf } from './leaf.ts';
import type { LedgerEvent, LedgerRow } from './ledger.ts';
import { type CertificateUse, type Names, namesOf } from './names.ts';
import type { BundleRow } from './trust-bundle.ts';

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

const request = z.object({
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

const issue = z.object({
  event: z.literal('issue'),
  serial: z.string(),
  fingerprint: z.string(),
  notAfter: z.number(),
  names,
});
const rejection = request.extend({ event: z.literal('reject'), code: z.string(), detail: z.string() });
const bundle = z.object({
  event: z.literal('bundle'),
  version: z.number(),
  created: z.number(),
  digest: z.string(),
  roots: z.array(z.string()),
});
const acknowledgement = z.object({
  event: z.literal('acknowledge'),
  requestKey: z.string(),
  version: z.number(),
});
const root = z.object({ event: z.literal('root'), fingerprint: z.string() });
const nextRoot = z.object({ event: z.literal('rotate'), root: z.string() });
const pass = z.object({ event: z.literal('pass'), started: z.number(), isWhole: z.boolean() });

/** Epoch seconds, both ends of its life. */
export interface IssuedLeaf {
  readonly serial: string;
  /** SHA-256 of the leaf's DER, in hex. */
  readonly fingerprint: string;
  readonly notAfter: number;
  readonly names: Names;
  /** Absent where it was issued by hand. */
  readonly request?: SeenRequest;
}

export type Unfinished =
  | { readonly event: 'issue'; readonly request: SeenRequest; readonly leaf: IssuedLeaf }
  | {
      readonly event: 'reject';
      readonly request: SeenRequest;
      readonly code: string;
      readonly detail: string;
    };

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
 */
export function passEvent(
  started: number,
  isWhole: boolean,
  counts: Readonly<Record<string, number>>,
): LedgerEvent {
  return { event: 'pass', started, isWhole, ...counts };
}

export class History {
  private readonly seen = new Set<string>();
  private readonly sequences = new Map<string, number>();
  private readonly requesters = new Map<string, string>();
  private readonly byFingerprint = new Map<string, IssuedLeaf>();
  private readonly byName = new Map<string, IssuedLeaf[]>();
  /** SHA-256 of the DER of every root that this issuer has had, in hex. */
  readonly roots = new Set<string>();
  /** By version, in the order in which they were made. */
  readonly bundles = new Map<number, BundleRow>();
  /** The newest version that each request key has acknowledged. */
  private readonly acknowledged = new Map<string, number>();
  private pending: Unfinished[] = [];
  private started: number | undefined;

  constructor(rows: Iterable<LedgerRow>) {
    for (const row of rows) this.add(row);
  }

  /** Takes a row in; what an event of another kind says is of no matter here. */
  add(row: LedgerRow): void {
    if (row.event === 'issue') this.addLeaf(row);
    else if (row.event === 'reject') this.addRejection(row);
    else if (row.event === 'pass') this.endPass(row);
    else if (row.event === 'bundle') this.addBundle(row);
    else if (row.event === 'root' || row.event === 'rotate') this.addRoot(row);
    else if (row.event === 'acknowledge') this.addAcknowledgement(row);
  }

  /** Whether this very request was decided before. */
  hasSeen(document: string): boolean {
    return this.seen.has(document);
  }

  /** The highest sequence that was decided for a request key; undefined before its first request. */
  sequenceOf(requestKey: string): number | undefined {
    return this.sequences.get(requestKey);
  }

  /** The requester that had a leaf under this id of a request; many a disk takes capitals for small letters. */
  requesterOf(id: string): string | undefined {
    return this.requesters.get(id.toLowerCase());
  }

  /** A live leaf for one of these names that another requester has. @param now epoch seconds. */
  heldByAnother(
    wanted: Names,
    requester: string,
    now: number,
  ): { name: string; leaf: IssuedLeaf } | undefined {
    for (const name of namesOf(wanted)) {
      const leaf = this.byName
        .get(name)
        ?.find(({ request, notAfter }) => request && request.requester !== requester && notAfter > now);
      if (leaf) return { name, leaf };
    }
    return undefined;
  }

  /** The leaf with this SHA-256 of its DER, where it was issued here. */
  leaf(fingerprint: string): IssuedLeaf | undefined {
    return this.byFingerprint.get(fingerprint);
  }

  /** All leaves, in the order in which they were issued. */
  leaves(): Iterable<IssuedLeaf> {
    return this.byFingerprint.values();
  }

  /** When the last pass that came to its end began, in epoch seconds. */
  get lastPass(): number | undefined {
    return this.started;
  }

  /** What was decided after the last pass that came to its end whole: its files may still lie where they lay. */
  get unfinished(): readonly Unfinished[] {
    return this.pending;
  }

  /** The newest trust bundle. */
  get bundle(): BundleRow | undefined {
    return [...this.bundles.values()].at(-1);
  }

  /** The newest trust bundle that the holder of a request key has taken over. */
  acknowledgedBy(requestKey: string): BundleRow | undefined {
    return this.bundles.get(this.acknowledged.get(requestKey) ?? 0);
  }

  private addRoot(row: LedgerRow): void {
    const found = root.safeParse(row).data?.fingerprint ?? nextRoot.safeParse(row).data?.root;
    if (found !== undefined) this.roots.add(found);
  }

  private addBundle(row: LedgerRow): void {
    const { data } = bundle.safeParse(row);
    if (!data) return;
    const { version, created, digest, roots } = data;
    this.bundles.set(version, { version, created, digest, roots });
  }

  private addAcknowledgement(row: LedgerRow): void {
    const { data } = acknowledgement.safeParse(row);
    if (!data) return;
    const before = this.acknowledged.get(data.requestKey) ?? 0;
    this.acknowledged.set(data.requestKey, Math.max(before, data.version));
  }

  private addLeaf(row: LedgerRow): void {
    const found = issue.safeParse(row).data;
    if (!found) return;
    const asked = request.safeParse(row).data;
    const { serial, fingerprint, notAfter } = found;
    const leaf: IssuedLeaf = {
      serial,
      fingerprint,
      notAfter,
      names: found.names,
      ...(asked && { request: asked }),
    };
    this.byFingerprint.set(fingerprint, leaf);
    for (const name of namesOf(found.names)) {
      // A name's ended leaves are of no use, and a name is renewed four times a day.
      const live = this.byName.get(name)?.filter((each) => each.notAfter > row.at) ?? [];
      this.byName.set(name, [...live, leaf]);
    }
    if (!asked) return;
    this.addRequest(asked);
    this.requesters.set(asked.id.toLowerCase(), asked.requester);
    this.pending.push({ event: 'issue', request: asked, leaf });
  }

  private addRejection(row: LedgerRow): void {
    const found = rejection.safeParse(row).data;
    if (!found) return;
    const { code, detail } = found;
    const asked = request.parse(row);
    this.addRequest(asked);
    this.pending.push({ event: 'reject', request: asked, code, detail });
  }

  private addRequest({ document, requestKey, sequence }: SeenRequest): void {
    this.seen.add(document);
    this.sequences.set(requestKey, Math.max(sequence, this.sequences.get(requestKey) ?? sequence));
  }

  private endPass(row: LedgerRow): void {
    const found = pass.safeParse(row).data;
    if (!found) return;
    if (found.isWhole) this.pending = [];
    this.started = found.started;
  }
}
