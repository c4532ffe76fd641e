/**
 * Keeps a certificate fresh: looks around whenever something may have come, asks early in its life, and puts in force what
 * is fit. What isn't fit, it says, and keeps what it has.
 * @module
 */
import { existsSync, type FSWatcher, mkdirSync, watch } from 'node:fs';
import { Answers } from './answers.ts';
import {
  type Certificate,
  checkNames,
  parseCertificates,
  readCertificate,
  shareLeft,
} from './certificate.ts';
import { CertificateFolder } from './certificate-folder.ts';
import { type RenewerOptions, type SettledOptions, settled } from './renewal.ts';
import { Requests } from './requests.ts';

/** Shares of life left at which it is said that nothing new has come. */
const WARNINGS = [1 / 3, 1 / 6, 0];
/** Milliseconds between two looks, at least. */
const SHORTEST_WAIT = 10;

type Held = NonNullable<ReturnType<CertificateFolder['load']>>;

export class CertificateRenewer {
  private readonly options: SettledOptions;
  private readonly store: CertificateFolder;
  private readonly requests: Requests;
  private readonly answers: Answers;
  private readonly waiting = new Set<() => void>();
  private certificate: Certificate | undefined;
  private renewed: number | undefined;
  private warnings = 0;
  private watcher: FSWatcher | undefined;
  private timer: NodeJS.Timeout | undefined;
  private look: Promise<void> | undefined;
  private isWoken = false;
  private isClosed = false;

  /** Reads what the folder holds. `certificate-invalid` where it holds no root, or a key that can't be read. */
  constructor(options: RenewerOptions) {
    this.options = settled(options);
    this.store = new CertificateFolder(options.folder);
    this.requests = new Requests(this.options, this.store);
    this.answers = new Answers({
      options: this.options,
      store: this.store,
      isClosed: () => this.isClosed,
      fail: (detail) => this.fail(detail),
    });
    this.store.trust();
    makeFolders(options.inbox, options.outbox);
    this.takeUp();
  }

  /** The certificate in force; undefined before the first one, and after the last one has ended. */
  current(): Certificate | undefined {
    const { certificate, options } = this;
    return certificate && options.clock.now() < certificate.notAfter ? certificate : undefined;
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
    try {
      const certificate = this.read(held);
      this.use(certificate);
      checkNames(certificate, this.options.names);
    } catch (error) {
      // With other names than are asked for now it serves until there is a better one.
      this.requests.planNow();
      this.options.onEvent({ event: 'failed', detail: (error as Error).message });
    }
  }

  /** Takes up what another process on this folder has put in force. */
  private adopt(): void {
    const { leaf, notAfter = 0 } = this.certificate ?? {};
    let found: Certificate;
    try {
      const held = this.store.load();
      if (!held || (leaf && parseCertificates(held.chain)[0]?.raw.equals(leaf.raw))) return;
      found = this.read(held);
      checkNames(found, this.options.names);
    } catch {
      // It may serve others, with names of their own; what is in force here is as good as it was.
      return;
    }
    if (found.notAfter > notAfter) this.putInForce(found);
  }

  private read({ chain, key }: Held): Certificate {
    const { use, clock } = this.options;
    return readCertificate(chain, { key, trust: this.trust(), use, now: clock.now() });
  }

  private putInForce(certificate: Certificate): void {
    this.use(certificate);
    this.renewed = this.options.clock.now();
    this.answers.forget();
    this.options.onEvent({
      event: 'renewed',
      serial: certificate.leaf.serialNumber,
      notAfter: new Date(certificate.notAfter),
    });
    for (const done of [...this.waiting]) done();
  }

  private use(certificate: Certificate): void {
    this.certificate = certificate;
    this.requests.plan(certificate);
    this.warnings = 0;
  }

  private async lookAround(): Promise<void> {
    this.watchOutbox();
    this.answers.followTrust();
    try {
      this.adopt();
      const taken = await this.answers.take();
      if (taken) this.putInForce(taken);
      this.requests.pursue(this.current() !== undefined);
    } catch (error) {
      this.fail((error as Error).message);
    }
    this.warn();
  }

  private lookAgain(): void {
    if (this.isClosed) return;
    const { clock, pacing } = this.options;
    const wait = Math.max(SHORTEST_WAIT, Math.min(pacing.poll, this.requests.next - clock.now()));
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

  /** Tells how much of a life is left, whenever it is less than before by a step. */
  private warn(): void {
    const { certificate } = this;
    if (!certificate) return;
    const { clock, onEvent } = this.options;
    const now = clock.now();
    const left = shareLeft(certificate, now);
    const passed = WARNINGS.filter((share) => left <= share).length;
    const isNews = passed > this.warnings;
    // Fewer than before, where the clock has stepped back.
    this.warnings = passed;
    if (!isNews) return;
    const notAfter = new Date(certificate.notAfter);
    const secondsLeft = Math.round((certificate.notAfter - now) / 1000);
    if (passed === WARNINGS.length) onEvent({ event: 'ended', secondsLeft: 0, notAfter });
    else onEvent({ event: 'ending', secondsLeft, notAfter });
  }

  private fail(detail: string): void {
    this.requests.planRetry();
    this.options.onEvent({ event: 'failed', detail });
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
