/**
 * Keeps a certificate fresh: asks early in its life, drops the request where it is told, watches for the chain, and takes
 * what is fit. What isn't fit, it says, and keeps what it has.
 *
 * A request is dropped at a sixth to a quarter of a certificate's life, since it waits for the issuer's next pass, and
 * the new one shall be in force before half of the life is over. One key is asked for until it is answered.
 * @module
 */
import { createHash, createPublicKey } from 'node:crypto';
import { existsSync, type FSWatcher, mkdirSync, watch } from 'node:fs';
import { join } from 'node:path';
import {
  type Certificate,
  checkNames,
  parseCertificates,
  readCertificate,
  shareLeft,
} from './certificate.ts';
import { CertificateFolder, type PendingRequest } from './certificate-folder.ts';
import { certificateRequest } from './certificate-request.ts';
import { readPlainFile } from './durable-file.ts';
import { rehearse } from './rehearsal.ts';
import { PACING, type Pacing, type RenewalEvent, type RenewerOptions } from './renewal.ts';
import { dropRequest, isWaiting, REQUEST_LIFE, refusalOf, withdrawRequest } from './request-files.ts';
import { followTrustBundle } from './trust-bundle.ts';

/** Shares of life left at which it is said that nothing new has come. */
const WARNINGS = [1 / 3, 1 / 6, 0];
/** Requests for one key whose answers are looked for. */
const MOST_REQUESTS = 8;
const SHORTEST_WAIT = 10;
/** Milliseconds by which a request may seem to be made in the future, before the clock has stepped back since. */
const MOST_AHEAD = 60_000;

export class CertificateRenewer {
  private readonly options: RenewerOptions;
  private readonly pacing: Pacing;
  private readonly clock: { now(): number };
  private readonly store: CertificateFolder;
  private readonly waiting = new Set<() => void>();
  /** Answers of which it was told that they can't be used. */
  private readonly told = new Set<string>();
  private certificate: Certificate | undefined;
  private renewed: number | undefined;
  /** The request that this process has told of. */
  private asked = '';
  /** Milliseconds since the epoch, both. */
  private askAt = 0;
  private retryAt: number | undefined;
  private warnings = 0;
  private watcher: FSWatcher | undefined;
  private timer: NodeJS.Timeout | undefined;
  private look: Promise<void> | undefined;
  private isWoken = false;
  private isClosed = false;

  /** Reads what the folder holds. `certificate-invalid` where it holds no root, or a key that can't be read. */
  constructor(options: RenewerOptions) {
    this.options = options;
    this.pacing = { ...PACING, ...options.pacing };
    this.clock = options.clock ?? { now: () => Date.now() };
    this.store = new CertificateFolder(options.folder);
    this.store.trust();
    makeFolders(options.inbox, options.outbox);
    this.takeUp();
  }

  /** The certificate in force; undefined before the first one, and after the last one has ended. */
  current(): Certificate | undefined {
    return this.certificate && this.clock.now() < this.certificate.notAfter ? this.certificate : undefined;
  }

  /** The certificate that was last in force, if there was one, also after its end. */
  get latest(): Certificate | undefined {
    return this.certificate;
  }

  /** The trusted roots in PEM, as they lie in the folder now. */
  trust(): string {
    return this.store.trust();
  }

  /** When a certificate was last put in force by this process, in milliseconds since the epoch. */
  get lastRenewal(): number | undefined {
    return this.renewed;
  }

  start(): this {
    this.wake();
    return this;
  }

  /** Waits for a certificate that is in force. Rejects with the signal's reason. */
  async first(signal?: AbortSignal): Promise<Certificate> {
    for (;;) {
      signal?.throwIfAborted();
      const current = this.current();
      if (current) return current;
      await this.change(signal);
    }
  }

  /** Looks at once whether there is something to do. */
  wake(): void {
    if (this.isClosed) return;
    if (this.look) {
      this.isWoken = true;
      return;
    }
    clearTimeout(this.timer);
    this.look = this.lookAround().finally(() => {
      this.look = undefined;
      if (this.isWoken) {
        this.isWoken = false;
        this.wake();
      } else this.lookAgain();
    });
  }

  async close(): Promise<void> {
    this.isClosed = true;
    clearTimeout(this.timer);
    this.watcher?.close();
    await this.look;
  }

  private change(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.waiting.delete(done);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      this.waiting.add(done);
      this.timer?.ref();
      signal?.addEventListener('abort', done);
    });
  }

  /** Takes up the certificate of an earlier process, if it is still good. */
  private takeUp(): void {
    const held = this.store.load();
    if (!held) return;
    const now = this.clock.now();
    try {
      const { use, names } = this.options;
      const certificate = readCertificate(held.chain, { key: held.key, trust: this.trust(), use, now });
      this.use(certificate);
      checkNames(certificate, names);
    } catch (error) {
      // With other names than are asked for now it serves until there is a better one.
      this.askAt = now;
      this.tell({ event: 'failed', detail: (error as Error).message });
    }
  }

  /** Takes up what another process on this folder has put in force. */
  private adopt(): void {
    const { leaf, notAfter = 0 } = this.certificate ?? {};
    const { use, names } = this.options;
    let found: Certificate;
    try {
      const held = this.store.load();
      if (!held || (leaf && parseCertificates(held.chain)[0]?.raw.equals(leaf.raw))) return;
      const now = this.clock.now();
      found = readCertificate(held.chain, { key: held.key, trust: this.trust(), use, now });
      checkNames(found, names);
    } catch {
      // It may serve others, with names of their own; what is in force here is as good as it was.
      return;
    }
    if (found.notAfter > notAfter) this.putInForce(found);
  }

  private putInForce(certificate: Certificate): void {
    this.use(certificate);
    this.renewed = this.clock.now();
    this.told.clear();
    this.tell({
      event: 'renewed',
      serial: certificate.leaf.serialNumber,
      notAfter: new Date(certificate.notAfter),
    });
    for (const done of [...this.waiting]) done();
  }

  private use(certificate: Certificate): void {
    const { askFrom, askUntil } = this.pacing;
    const { random = Math.random } = this.options;
    const life = certificate.notAfter - certificate.notBefore;
    this.certificate = certificate;
    this.askAt = certificate.notBefore + life * (askFrom + random() * (askUntil - askFrom));
    this.retryAt = undefined;
    this.warnings = 0;
  }

  private async lookAround(): Promise<void> {
    this.watchOutbox();
    this.followTrust();
    try {
      this.adopt();
      await this.collect();
      if (this.isDue()) this.ask();
      else this.remind();
    } catch (error) {
      this.fail((error as Error).message);
    }
    this.warn();
  }

  /** Before answers are looked at: the next root may have signed them. */
  private followTrust(): void {
    const { folder, requester, inbox, outbox } = this.options;
    const { requestKey } = this.store;
    const now = Math.floor(this.clock.now() / 1000);
    try {
      const version = followTrustBundle({ folder, requestKey, requester, inbox, outbox, now });
      if (version !== undefined) this.tell({ event: 'trusted', version });
    } catch (error) {
      const detail = (error as Error).message;
      // No reason to wait with anything else: the roots of before are as good as they were.
      if (this.isNew('trust-bundle', detail)) this.tell({ event: 'failed', detail });
    }
  }

  private lookAgain(): void {
    if (this.isClosed) return;
    const now = this.clock.now();
    const next = this.retryAt ?? (this.askAt > now ? this.askAt : Number.POSITIVE_INFINITY);
    const wait = Math.max(SHORTEST_WAIT, Math.min(this.pacing.poll, next - now));
    this.timer = setTimeout(() => this.wake(), wait);
    // Who waits for a first certificate has nothing else to live for.
    if (this.waiting.size === 0) this.timer.unref();
  }

  /** The watch makes it quick; the poll beside it sees to folders that can't be watched, such as shares. */
  private watchOutbox(): void {
    const { outbox } = this.options;
    if (this.watcher || !existsSync(outbox)) return;
    try {
      this.watcher = watch(outbox, () => this.wake()).unref();
      this.watcher.on('error', () => {
        this.watcher?.close();
        this.watcher = undefined;
      });
    } catch {
      this.watcher = undefined;
    }
  }

  /** Takes the answer to what is asked for, if there is one. */
  private async collect(): Promise<void> {
    const pending = this.store.pending();
    for (const { id } of pending?.requests.toReversed() ?? []) {
      if (this.isClosed) return;
      const file = join(this.options.outbox, `${id}.pem`);
      let chain: string | undefined;
      try {
        const refusal = refusalOf(this.options.inbox, id);
        if (refusal !== undefined && this.isNew(id, refusal)) {
          this.fail(`The issuer refused the request ${id}: ${refusal}`);
        }
        chain = readPlainFile(file);
        if (chain === undefined || !pending) continue;
        await this.take(chain, pending.key);
        return;
      } catch (error) {
        // Also of what can't be read at all: it is no reason not to ask anew.
        const { message } = error as Error;
        if (this.isNew(id, chain ?? message)) this.fail(`${file}: ${message}`);
      }
    }
  }

  private async take(chain: string, key: Certificate['key']): Promise<void> {
    const { use, names } = this.options;
    const [trust, now] = [this.trust(), this.clock.now()];
    const certificate = readCertificate(chain, { key, trust, use, now });
    checkNames(certificate, names);
    await rehearse({ certificate, use, names, trust });
    this.store.replace(certificate);
    this.putInForce(certificate);
  }

  /** Whether a request is to be dropped now. */
  private isDue(): boolean {
    const now = this.clock.now();
    // What lies further ahead was set by a clock that has stepped back since.
    const { retry, lostAfter } = this.pacing;
    if (this.retryAt !== undefined) return now >= this.retryAt || now < this.retryAt - retry;
    const last = this.store.pending()?.requests.at(-1);
    if (!last) return now >= this.askAt || !this.current();
    if (!last.dropped || now >= last.expires * 1000 || now < last.created * 1000 - MOST_AHEAD) return true;
    return !isWaiting(this.options.inbox, last.id) && now >= last.created * 1000 + lostAfter;
  }

  /** Tells of a request of an earlier process, which somebody may still have to carry. */
  private remind(): void {
    const last = this.store.pending()?.requests.at(-1);
    if (!last || last.id === this.asked) return;
    if (isWaiting(this.options.inbox, last.id) || !this.current()) this.tellRequest(last.id);
  }

  private ask(): void {
    const { inbox, requester, use, names } = this.options;
    const root = parseCertificates(this.trust())[0];
    if (!root) return;
    const { key, requests } = this.store.pending() ?? this.store.newPending();
    const created = Math.floor(this.clock.now() / 1000);
    const sequence = this.store.nextSequence(created);
    const id = `${requester}-${sequence}`;
    const earlier = requests.slice(1 - MOST_REQUESTS);
    // Its id is on the disk before the request is, so that its answer is looked for also after a kill.
    const request: PendingRequest = { id, created, expires: created + REQUEST_LIFE, dropped: false };
    this.store.savePending({ key, requests: [...earlier, request] });
    for (const { id } of earlier) withdrawRequest(inbox, id);
    const csr = certificateRequest(key, names);
    dropRequest(inbox, { id, csr, requester, use, root, created, sequence }, this.store.requestKey);
    this.store.savePending({ key, requests: [...earlier, { ...request, dropped: true }] });
    this.retryAt = undefined;
    this.tellRequest(id);
  }

  private tellRequest(id: string): void {
    this.asked = id;
    const { requestKeyFile } = this.store;
    const { inbox } = this.options;
    this.tell({ event: 'requested', id, inbox, requestKeyFile, requestKey: this.requestKey() });
  }

  private requestKey(): string {
    const spki = createPublicKey(this.store.requestKey).export({ type: 'spki', format: 'der' });
    return createHash('sha256').update(spki).digest('hex');
  }

  private warn(): void {
    const { certificate } = this;
    if (!certificate) return;
    const now = this.clock.now();
    const left = shareLeft(certificate, now);
    const passed = WARNINGS.filter((share) => left <= share).length;
    const isNews = passed > this.warnings;
    // Fewer than before, where the clock has stepped back.
    this.warnings = passed;
    if (!isNews) return;
    const notAfter = new Date(certificate.notAfter);
    if (passed === WARNINGS.length) this.tell({ event: 'ended', secondsLeft: 0, notAfter });
    else
      this.tell({ event: 'ending', secondsLeft: Math.round((certificate.notAfter - now) / 1000), notAfter });
  }

  private fail(detail: string): void {
    this.retryAt = this.clock.now() + this.pacing.retry;
    this.tell({ event: 'failed', detail });
  }

  private isNew(id: string, answer: string): boolean {
    const told = createHash('sha256').update(`${id} ${answer}`).digest('hex');
    if (this.told.has(told)) return false;
    this.told.add(told);
    return true;
  }

  private tell(event: RenewalEvent): void {
    this.options.onEvent?.(event);
  }
}

/** So that whoever carries the files finds both. One that can't be made now may be mounted later. */
function makeFolders(...folders: readonly string[]): void {
  for (const folder of folders) {
    try {
      mkdirSync(folder, { recursive: true });
    } catch {}
  }
}
