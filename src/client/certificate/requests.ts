/**
 * Asks for certificates: decides when, drops the request where it is told, and tells who may have to carry it.
 *
 * A request is dropped at an eighth to a fifth of a certificate's life, since it waits for the issuer's next pass, and
 * the new one shall be in force before half of the life is over: of 12 hours, half an hour is left to carry it to a pass
 * three hours after the last. One key is asked for until it is answered.
 * @module
 */
import { createHash, createPublicKey } from 'node:crypto';
import { type Certificate, parseCertificates } from './certificate.ts';
import type { CertificateFolder, PendingRequest } from './certificate-folder.ts';
import { certificateRequest } from './certificate-request.ts';
import type { SettledOptions } from './renewal.ts';
import { dropRequest, isWaiting, REQUEST_LIFE, withdrawRequest } from './request-files.ts';

/** Requests for one key whose answers are looked for. */
const MOST_REQUESTS = 8;
/** Milliseconds by which a request may seem to be made in the future, before the clock has stepped back since. */
const MOST_AHEAD = 60_000;

export class Requests {
  private readonly options: SettledOptions;
  private readonly store: CertificateFolder;
  /** The request that this process has told of. */
  private asked = '';
  /** Milliseconds since the epoch, both. */
  private askAt = 0;
  private retryAt: number | undefined;

  constructor(options: SettledOptions, store: CertificateFolder) {
    this.options = options;
    this.store = store;
  }

  /** Plans the next request, early in the life of the certificate that is in force from now on. */
  plan({ notBefore, notAfter }: Certificate): void {
    const { random, pacing } = this.options;
    const { askFrom, askUntil } = pacing;
    this.askAt = notBefore + (notAfter - notBefore) * (askFrom + random() * (askUntil - askFrom));
    this.retryAt = undefined;
  }

  /** Plans one for now, whatever is in force. */
  planNow(): void {
    this.askAt = this.options.clock.now();
  }

  /** Plans one for a while after what has failed. */
  planRetry(): void {
    const { clock, pacing } = this.options;
    this.retryAt = clock.now() + pacing.retry;
  }

  /** When one is planned for, in milliseconds since the epoch; infinite where it is asked for already. */
  get next(): number {
    return this.retryAt ?? (this.askAt > this.options.clock.now() ? this.askAt : Number.POSITIVE_INFINITY);
  }

  /** Drops a request if one is due, or else tells of one that was dropped. @param isServed whether a certificate is in force. */
  pursue(isServed: boolean): void {
    if (this.isDue(isServed)) this.ask();
    else this.remind(isServed);
  }

  private isDue(isServed: boolean): boolean {
    const { inbox, clock, pacing } = this.options;
    const now = clock.now();
    // What lies further ahead was set by a clock that has stepped back since.
    if (this.retryAt !== undefined) return now >= this.retryAt || now < this.retryAt - pacing.retry;
    const last = this.store.pending()?.requests.at(-1);
    if (!last) return now >= this.askAt || !isServed;
    if (!last.dropped || now >= last.expires * 1000 || now < last.created * 1000 - MOST_AHEAD) return true;
    return !isWaiting(inbox, last.id) && now >= last.created * 1000 + pacing.lostAfter;
  }

  /** Tells of a request of an earlier process: somebody has to carry it still, or, where nothing is in force, its answer. */
  private remind(isServed: boolean): void {
    const last = this.store.pending()?.requests.at(-1);
    if (!last || last.id === this.asked) return;
    if (isWaiting(this.options.inbox, last.id) || !isServed) this.tell(last.id);
  }

  private ask(): void {
    const { inbox, requester, use, names, clock } = this.options;
    const root = parseCertificates(this.store.trust())[0];
    if (!root) return;
    const { key, requests } = this.store.pending() ?? this.store.newPending();
    const created = Math.floor(clock.now() / 1000);
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
    this.tell(id);
  }

  private tell(id: string): void {
    this.asked = id;
    const { requestKeyFile } = this.store;
    const { inbox, onEvent } = this.options;
    const spki = createPublicKey(this.store.requestKey).export({ type: 'spki', format: 'der' });
    const digest = createHash('sha256').update(spki).digest('hex').toUpperCase();
    const requestKey = digest.match(/../g)?.join(':') ?? '';
    onEvent({
      event: 'requested',
      id,
      inbox,
      isWaiting: isWaiting(inbox, id),
      requestKeyFile,
      requestKey,
    });
  }
}
