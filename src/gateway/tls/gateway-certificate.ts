/**
 * The gateway's own certificate: kept fresh by the same renewer that the client has, told of in the log and the metrics,
 * and handed to the listeners whenever it changes.
 * @module
 */
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Logger } from 'pino';
import { readPlainFile } from '../../client/certificate/durable-file.ts';
import { keyPem } from '../../client/certificate/rehearsal.ts';
import type { Pacing, RenewalEvent } from '../../client/certificate/renewal.ts';
import { CertificateRenewer } from '../../client/certificate/renewer.ts';
import { BUNDLE_FILE } from '../../client/certificate/trust-bundle.ts';
import type { Clock } from '../../clock.ts';
import type { TlsSettings } from '../../config/config.ts';
import { CountersignError } from '../../errors.ts';
import { splitNames } from './names.ts';
import type { TlsServing } from './server-context.ts';

export interface GatewayCertificateParts {
  readonly tls: TlsSettings;
  /** The data folder. */
  readonly data: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly pacing?: Partial<Pacing> | undefined;
  /** Answers the requests that were dropped, where the issuer is on this machine; false where it couldn't. */
  readonly answer?: (() => Promise<boolean>) | undefined;
}

/** A certificate that callers of the gateway see, or that they rely on. */
export interface CertificateTerm {
  /** `leaf` or `root`. */
  readonly certificate: string;
  readonly serial: string;
  /** Below zero, it has ended. */
  readonly secondsLeft: number;
}

/** Milliseconds. */
const ANSWER_RETRY_MS = 2000;

/** Where the gateway's certificate lives. */
export function tlsFolder(data: string): string {
  return join(data, 'tls');
}

/** The issuer's root, as it lies beside the gateway's certificate. */
export function trustFile(data: string): string {
  return join(tlsFolder(data), 'trust.pem');
}

export class GatewayCertificate {
  private readonly parts: GatewayCertificateParts;
  private readonly renewer: CertificateRenewer;
  /** Shares of the root's life of which it was told that no more is left. */
  private readonly rootTold = new Set<number>();
  private onChange: ((tls: TlsServing) => void) | undefined;
  private isClosed = false;

  /** `start-up-failed` where the folder holds no root, or can't be read. */
  constructor(parts: GatewayCertificateParts) {
    this.parts = parts;
    const { tls, data, clock, pacing } = parts;
    const { names, uris, requester, inbox, outbox } = tls;
    try {
      this.renewer = new CertificateRenewer({
        folder: tlsFolder(data),
        requester,
        use: 'server',
        names: splitNames(names, uris),
        inbox,
        outbox,
        onEvent: (event) => this.tell(event),
        clock,
        ...(pacing && { pacing }),
      });
    } catch (error) {
      if (!(error instanceof CountersignError)) throw error;
      throw new CountersignError('start-up-failed', `TLS can't be served. ${error.message}`, {
        cause: error,
      });
    }
  }

  /** Waits for a certificate that is in force, as long as it takes. Rejects with the signal's reason. */
  async open(signal?: AbortSignal): Promise<this> {
    this.renewer.start();
    await this.renewer.first(signal);
    this.warnOfRoot();
    return this;
  }

  /** From now on `change` is given what listeners serve whenever it changes. */
  follow(change: (tls: TlsServing) => void): void {
    this.onChange = change;
  }

  /** What listeners serve now. */
  serving(): TlsServing {
    // One that has ended is served on: whom callers' certificates must come from may change meanwhile.
    const certificate = this.renewer.latest;
    if (!certificate) throw new CountersignError('start-up-failed', 'There is no certificate yet.');
    const identity = { key: keyPem(certificate), chain: certificate.leaf.toString() };
    if (this.parts.tls.clientCertificates === 'off') return { identity };
    return { identity, clientRoots: this.renewer.trust() };
  }

  /** The leaf in force and the root above it. */
  terms(): CertificateTerm[] {
    const certificate = this.renewer.latest;
    if (!certificate) return [];
    const { leaf, root } = certificate;
    const now = this.parts.clock.now();
    return Object.entries({ leaf, root }).map(([certificate, { serialNumber: serial, validTo }]) => ({
      certificate,
      serial,
      secondsLeft: Math.round((Date.parse(validTo) - now) / 1000),
    }));
  }

  /** Milliseconds since the epoch; undefined before the first renewal by this process. */
  get lastRenewal(): number | undefined {
    return this.renewer.lastRenewal;
  }

  /** The trusted roots in PEM. */
  trust(): string {
    return this.renewer.trust();
  }

  /** The trust bundle that was taken over last, as the issuer made it; undefined before the first. */
  trustBundle(): string | undefined {
    return readPlainFile(join(tlsFolder(this.parts.data), BUNDLE_FILE));
  }

  close(): Promise<void> {
    this.isClosed = true;
    return this.renewer.close();
  }

  /** What prevents it, such as a full disk or the pass of another process, may not last. */
  private async beAnswered(answer: () => Promise<boolean>): Promise<void> {
    while (!this.isClosed && !(await answer())) await setTimeout(ANSWER_RETRY_MS, undefined, { ref: false });
    this.renewer.wake();
  }

  /** Looked at with each new leaf, which comes several times a day. */
  private warnOfRoot(): void {
    const { root } = this.renewer.latest ?? {};
    if (!root) return;
    const [from, to] = [Date.parse(root.validFrom), Date.parse(root.validTo)];
    const left = (to - this.parts.clock.now()) / (to - from);
    const share = [1 / 6, 1 / 3].find((each) => left <= each);
    if (share === undefined || this.rootTold.has(share)) return;
    this.rootTold.add(share);
    const about = { serial: root.serialNumber, notAfter: new Date(to) };
    this.parts.logger.warn(
      about,
      'the root ends, and no leaf outlives it: make the next one, and trust both',
    );
  }

  private tell(told: RenewalEvent): void {
    const { logger, tls, answer } = this.parts;
    if (told.event === 'requested') {
      const { id, requestKeyFile, requestKey } = told;
      const { inbox, outbox, requester } = tls;
      const where = { id, inbox, outbox, requester, requestKeyFile, requestKey };
      if (answer) {
        logger.info(where, 'a certificate is asked for');
        void this.beAnswered(answer);
      } else if (this.renewer.current()) logger.info(where, 'the next certificate is asked for: carry it');
      else logger.warn(where, told.isWaiting ? firstSteps(told, tls) : answerAwaited(told, tls));
    } else if (told.event === 'renewed') {
      const { serial, notAfter } = told;
      this.onChange?.(this.serving());
      logger.info({ serial, notAfter }, 'a new certificate is in force');
      this.warnOfRoot();
    } else if (told.event === 'trusted') {
      const { version } = told;
      logger.warn({ version }, 'the trust bundle was taken over: the roots in it are trusted from now on');
    } else if (told.event === 'failed') {
      logger.error(
        { detail: told.detail },
        'no new certificate: what is in force stays, and it is tried again',
      );
    } else {
      const { secondsLeft, notAfter } = told;
      const what =
        told.event === 'ended'
          ? 'the certificate has ended: nobody can connect until there is a new one'
          : 'the certificate ends soon, and no new one has come: see to the issuer';
      logger[told.event === 'ended' ? 'error' : 'warn']({ secondsLeft, notAfter }, what);
    }
  }
}

/** For an operator who has carried the request. */
function answerAwaited({ id }: { readonly id: string }, { inbox, outbox }: TlsSettings): string {
  return `no certificate yet, so nothing is listened on: ${id} was taken out of ${inbox}, and ${id}.pem is awaited in ${outbox}; three hours after it was asked for it is asked for anew`;
}

/** For an operator who sets it up: every step between here and a gateway that listens. */
function firstSteps(
  { id, requestKeyFile }: { readonly id: string; readonly requestKeyFile: string },
  { inbox, outbox, requester }: TlsSettings,
): string {
  return [
    'no certificate yet, so nothing is listened on:',
    `1. on the issuer's box, once: countersign ca enrol ${requester} --key ${requestKeyFile} (its public half, carried there)`,
    `2. carry ${id}.csr, .json and .sig from ${inbox} to the issuer's inbox`,
    `3. carry ${id}.pem from its outbox to ${outbox}, or where it was refused, rejected/ from its inbox into ${inbox}: then it is asked for anew`,
  ].join(' ');
}
