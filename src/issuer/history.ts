/**
 * What the ledger knows of requests and leaves: which request was seen, how far each key's sequence has come, who has
 * a name, when the last pass was, and what it left undone.
 *
 * Who has a name: a requester that has a live leaf for it. It may have further leaves for it, with another key each,
 * since a renewal makes a new key while the old leaf still lives; its request key says that it is the same one. Another
 * requester is refused until the last of them has ended, also where the profile would give it the name. A leaf that the
 * operator vouched for by hand takes no name from anybody.
 * @module
 */
import {
  acknowledgeRow,
  bundleRow,
  enrolRow,
  issueRow,
  passRow,
  rejectRow,
  requestRow,
  rootRow,
  rotateRow,
  type SeenRequest,
} from './history-rows.ts';
import type { LedgerRow } from './ledger.ts';
import { type Names, namesOf } from './names.ts';
import type { Requester } from './requesters.ts';
import type { BundleRow } from './trust-bundle.ts';

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

export interface LastPass {
  /** When it began, in epoch seconds. */
  readonly started: number;
  /** The schedule that it was made on; absent where it was asked for by itself. */
  readonly schedule?: string | undefined;
}

export type Unfinished =
  | { readonly event: 'issue'; readonly request: SeenRequest; readonly leaf: IssuedLeaf }
  | {
      readonly event: 'reject';
      readonly request: SeenRequest;
      readonly code: string;
      readonly detail: string;
    };

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
  /** The key of the last approval of each requester, and when that was, in epoch seconds. */
  private readonly approvals = new Map<string, { readonly requestKey: string; readonly at: number }>();
  private pending: Unfinished[] = [];
  private ended: LastPass | undefined;

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
    else if (row.event === 'enrol') this.addApproval(row);
  }

  /** Whether the operator has approved this key for this name, at that moment or later. */
  hasApproved({ name, fingerprint, approved }: Requester): boolean {
    const found = this.approvals.get(name);
    return found !== undefined && found.requestKey === fingerprint && found.at >= approved;
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

  /** The last pass that came to its end. */
  get lastPass(): LastPass | undefined {
    return this.ended;
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
    const found = rootRow.safeParse(row).data?.fingerprint ?? rotateRow.safeParse(row).data?.root;
    if (found !== undefined) this.roots.add(found);
  }

  private addApproval(row: LedgerRow): void {
    const { data } = enrolRow.safeParse(row);
    if (data) this.approvals.set(data.requester, { requestKey: data.requestKey, at: row.at });
  }

  private addBundle(row: LedgerRow): void {
    const { data } = bundleRow.safeParse(row);
    if (!data) return;
    const { version, created, digest, roots } = data;
    this.bundles.set(version, { version, created, digest, roots });
  }

  private addAcknowledgement(row: LedgerRow): void {
    const { data } = acknowledgeRow.safeParse(row);
    if (!data) return;
    const before = this.acknowledged.get(data.requestKey) ?? 0;
    this.acknowledged.set(data.requestKey, Math.max(before, data.version));
  }

  private addLeaf(row: LedgerRow): void {
    const found = issueRow.safeParse(row).data;
    if (!found) return;
    const asked = requestRow.safeParse(row).data;
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
    const found = rejectRow.safeParse(row).data;
    if (!found) return;
    const { code, detail } = found;
    const asked = requestRow.parse(row);
    this.addRequest(asked);
    this.pending.push({ event: 'reject', request: asked, code, detail });
  }

  private addRequest({ document, requestKey, sequence }: SeenRequest): void {
    this.seen.add(document);
    this.sequences.set(requestKey, Math.max(sequence, this.sequences.get(requestKey) ?? sequence));
  }

  private endPass(row: LedgerRow): void {
    const found = passRow.safeParse(row).data;
    if (!found) return;
    if (found.isWhole) this.pending = [];
    this.ended = { started: found.started, schedule: found.schedule };
  }
}
