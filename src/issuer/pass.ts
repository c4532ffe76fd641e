/**
 * One pass over the inbox. Each request is decided for itself, in the order of its requester's sequence: a bad one never
 * stops the others, and what the system prevents (a full disk, a file that can't be read) is left for the next pass.
 *
 * In which order things reach the disk, for a leaf: draft in the outbox, ledger, name in the outbox, files out of the
 * inbox; for a refusal: ledger, reason, files to `rejected/`; at the end a row for the pass itself. A pass that is cut
 * off anywhere leaves rows after the last such row, and the next one first ends what they began. So each request has one
 * leaf at most, and what it has is delivered.
 * @module
 */
import { type Clock, epochSeconds } from '../clock.ts';
import { CountersignError } from '../errors.ts';
import { readAcknowledgement } from './acknowledgement.ts';
import { type AuthenticRequest, admit, authenticate, type Rules } from './admission.ts';
import type { Authority, PublicAuthority } from './authority.ts';
import { History, type LastPass } from './history.ts';
import { issueEvent, passEvent, rejectEvent, type SeenRequest } from './history-rows.ts';
import { Inbox } from './inbox.ts';
import { issueLeaf } from './leaf.ts';
import { Ledger } from './ledger.ts';
import { Lock, lockOf } from './lock.ts';
import { type Names, namesOf } from './names.ts';
import { Outbox } from './outbox.ts';
import { isOfThePass, isOfTheSystem, type Outcome, type PassReport } from './outcome.ts';
import { readProfile } from './profile.ts';
import { trustedRoots } from './rotation.ts';
import { BUNDLE_FILE, keepBundle, readBundleFile } from './trust-bundle.ts';
import { sortTurns, type Turn, turnOf } from './turns.ts';

export interface PassOptions {
  readonly authority: Authority;
  /** Folders. */
  readonly inbox: string;
  readonly outbox: string;
  readonly clock: Clock;
  /** Goes on though the clock stands more than 24 h after the newest row of the ledger. */
  readonly acceptClock?: boolean | undefined;
  /** The cron line of whoever makes passes again and again: the ledger keeps it, by which missed ones are counted. */
  readonly schedule?: string | undefined;
  /** Told of each request when it is decided. */
  readonly onOutcome?: ((outcome: Outcome) => void) | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** The last pass that came to its end. `ledger-broken`. @param folder the issuer's. */
export function lastPassOf(folder: string): LastPass | undefined {
  return new History(new Ledger(folder).rows()).lastPass;
}

/**
 * Decides all requests that are whole. `issuer-busy` where another process is at it, `clock-untrusted`,
 * `ledger-broken`, `profile-invalid`, `config-invalid` where a folder is missing: then no request was touched, or, where
 * the clock steps back meanwhile, the rest of them.
 */
export async function runPass(options: PassOptions): Promise<PassReport> {
  const lock = await Lock.acquire(lockOf(options.authority.dir));
  try {
    return await new Pass(options).run();
  } finally {
    lock.release();
  }
}

class Pass {
  private readonly options: PassOptions;
  private readonly inbox: Inbox;
  private readonly outbox: Outbox;
  private readonly ledger: Ledger;
  private readonly history: History;
  private readonly rules: Rules;
  private readonly roots: readonly PublicAuthority[];
  private readonly outcomes: Outcome[] = [];
  /** Whether all that the ledger says of requests is done to their files as well. */
  private isWhole = true;

  constructor(options: PassOptions) {
    const { authority, clock, acceptClock } = options;
    this.options = options;
    this.inbox = new Inbox(options.inbox);
    this.outbox = new Outbox(options.outbox);
    this.ledger = new Ledger(authority.dir);
    this.ledger.checkClock(clock, acceptClock);
    this.history = new History(this.ledger.rows());
    const profile = readProfile(authority.dir);
    this.roots = trustedRoots(authority.dir);
    // `ca rotate` has switched since the root was opened: its leaves would be those of the old one.
    if (this.roots[0]?.fingerprint !== authority.fingerprint) {
      throw new CountersignError('authority-invalid', 'Another root issues now; open it and try again.');
    }
    const issuers = new Set(this.roots.map(({ fingerprint }) => fingerprint));
    this.rules = { issuers, profile, history: this.history, clock };
  }

  async run(): Promise<PassReport> {
    const { clock, schedule, onProgress } = this.options;
    const started = epochSeconds(clock);
    this.endCutOff();
    this.handOutBundle();
    const { whole, partial, acknowledgements, unnamed } = this.inbox.arrivals();
    for (const file of unnamed) this.rejectUnnamed(file);
    for (const id of acknowledgements) this.acknowledge(id);
    let done = 0;
    const waiting = new Set<string>();
    for (const { id, requester } of this.inOrder(whole)) {
      // What is decided makes every lower sequence old, so after one that waits the rest of them wait too.
      if (waiting.has(requester)) this.postpone(id, `An earlier request of ${requester} must wait.`);
      else if (await this.decide(id)) waiting.add(requester);
      onProgress?.(++done, whole.length);
    }
    this.append(passEvent(started, this.isWhole, schedule, this.counts()));
    const rest = partial.filter((id) => !this.endRejection(id));
    this.clear(started);
    return { outcomes: this.outcomes, partial: rest };
  }

  /** Ends what a pass that was cut off has begun. */
  private endCutOff(): void {
    // Not from the unfinished rows alone: the outbox may be another stick than last time.
    for (const { id, fingerprint } of this.outbox.drafts()) {
      const leaf = fingerprint === undefined ? undefined : this.history.leaf(fingerprint);
      this.attempt(id, () => {
        if (leaf?.request?.id === id) {
          this.outbox.publish(id);
          this.tellIssued(leaf.request, leaf);
        } else this.outbox.drop(id);
      });
    }
    for (const row of this.history.unfinished) {
      const { id, requester, document } = row.request;
      if (!this.inbox.holds(id, document)) continue;
      this.attempt(id, () => {
        if (row.event === 'issue') this.inbox.clear(id);
        else this.reject(id, row.code, row.detail, requester);
      });
    }
  }

  /** Removes what nobody needs any more. What can't be removed stops nothing: the next pass tries again. */
  private clear(now: number): void {
    try {
      this.inbox.clearRejected(now);
      this.outbox.clearEnded(this.history, now);
    } catch {}
  }

  /** Does what the system may prevent. */
  private attempt(id: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      if (isOfThePass(error)) throw error;
      this.postpone(id, error);
    }
  }

  private handOutBundle(): void {
    const { authority, clock } = this.options;
    const { history, ledger } = this;
    if (keepBundle(ledger, history.bundle, this.roots, [authority], clock) && ledger.last) {
      history.add(ledger.last);
    }
    const text = readBundleFile(authority.dir);
    if (text !== undefined) this.attempt(BUNDLE_FILE, () => this.outbox.putBundle(text));
  }

  private acknowledge(id: string): void {
    const { dir } = this.options.authority;
    this.attempt(id, () => {
      try {
        const found = readAcknowledgement(this.inbox.readAcknowledgement(id), dir, this.history);
        const known = this.history.acknowledgedBy(found.requestKey)?.version ?? 0;
        if (found.version > known) this.append({ event: 'acknowledge', ...found });
      } catch (error) {
        if (isOfThePass(error) || isOfTheSystem(error) || !(error instanceof CountersignError)) throw error;
        const { code, message: detail } = error;
        this.inbox.rejectAcknowledgement(id, { code, detail, at: this.isoNow() });
        this.tell({ outcome: 'rejected', id, code, detail });
        return;
      }
      this.inbox.clearAcknowledgement(id);
    });
  }

  private inOrder(ids: readonly string[]): Turn[] {
    const turns: Turn[] = [];
    for (const id of ids) this.attempt(id, () => turns.push(turnOf(id, this.inbox)));
    return sortTurns(turns);
  }

  /** @returns whether the others of its requester wait for it: not where anybody may have written it in their name. */
  private async decide(id: string): Promise<boolean> {
    let asked: AuthenticRequest | undefined;
    try {
      const { authority, clock } = this.options;
      asked = authenticate(id, this.inbox.read(id), authority.dir, this.history, clock);
      await this.answer(asked);
    } catch (error) {
      if (isOfThePass(error)) throw error;
      if (isOfTheSystem(error)) this.postpone(id, error);
      else this.refuse(id, error, asked);
    }
    return asked !== undefined && this.outcomes.at(-1)?.outcome === 'postponed';
  }

  /** Issues what was asked for. */
  private async answer(asked: AuthenticRequest): Promise<void> {
    const { authority, clock } = this.options;
    const { id } = asked.seen;
    const { spki, names, use, lifetime, keyDigest } = admit(asked, this.rules);
    const leaf = await issueLeaf(authority, { spki, names, use, lifetime }, clock);
    this.outbox.stage(id, leaf.chainPem);
    try {
      this.append(issueEvent(leaf, { names, use, keyDigest }, asked.seen));
    } catch (error) {
      this.outbox.drop(id);
      throw error;
    }
    this.outbox.publish(id);
    this.tellIssued(asked.seen, { names, serial: leaf.serial, notAfter: leaf.notAfter });
    this.inbox.clear(id);
  }

  private refuse(id: string, error: unknown, asked: AuthenticRequest | undefined): void {
    // What no rule of ours has refused is a defect, and the others shall have their leaves all the same.
    const code = error instanceof CountersignError ? error.code : 'certificate-request-refused';
    const detail = error instanceof CountersignError ? error.message : `It can't be read: ${String(error)}`;
    this.attempt(id, () => {
      if (asked && !this.history.hasSeen(asked.seen.document)) {
        this.append(rejectEvent(asked.seen, code, detail));
      }
      this.reject(id, code, detail, asked?.seen.requester);
    });
  }

  private reject(id: string, code: string, detail: string, requester: string | undefined): void {
    this.inbox.reject(id, { code, detail, requester, at: this.isoNow() });
    this.tell({ outcome: 'rejected', id, code, detail, ...(requester !== undefined && { requester }) });
  }

  private rejectUnnamed(file: string): void {
    const code = 'certificate-request-refused';
    const detail = `${JSON.stringify(file)} can't name a request: write letters, digits, ".", "_" and "-", 64 at most, and no ".reason" at the end.`;
    this.attempt(file, () => {
      const id = this.inbox.rejectUnnamed(file, { code, detail, at: this.isoNow() });
      this.tell({ outcome: 'rejected', id, code, detail });
    });
  }

  /** @returns whether these were the rest of a refused request. */
  private endRejection(id: string): boolean {
    const isRest = this.inbox.isHalfRejected(id);
    if (isRest) this.attempt(id, () => this.inbox.carryOff(id));
    return isRest;
  }

  private postpone(id: string, error: unknown): void {
    if (this.history.unfinished.some(({ request }) => request.id === id)) this.isWhole = false;
    this.tell({ outcome: 'postponed', id, detail: error instanceof Error ? error.message : String(error) });
  }

  private tellIssued(
    { id, requester }: SeenRequest,
    { names, serial, notAfter }: { names: Names; serial: string; notAfter: number },
  ): void {
    this.tell({ outcome: 'issued', id, requester, names: namesOf(names), serial, notAfter });
  }

  private append(event: Parameters<Ledger['append']>[0]): void {
    this.history.add(this.ledger.append(event, this.options.clock));
  }

  private tell(outcome: Outcome): void {
    this.outcomes.push(outcome);
    this.options.onOutcome?.(outcome);
  }

  private counts(): Record<Outcome['outcome'], number> {
    const counts = { issued: 0, rejected: 0, postponed: 0 };
    for (const { outcome } of this.outcomes) counts[outcome]++;
    return counts;
  }

  private isoNow(): string {
    return new Date(this.options.clock.now()).toISOString();
  }
}
