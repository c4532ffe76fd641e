/**
 * The connections whose callers have shown a certificate: what each may be taken for, and their end with it.
 * @module
 */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import { parseCertificates } from '../../client/certificate/certificate.ts';
import { type Clock, epochSeconds } from '../../clock.ts';
import type { DeniedCertificateReader } from '../../consumers/denied-certificates.ts';
import { CountersignError } from '../../errors.ts';
import {
  type CertificateAt,
  certificateAt,
  NO_CERTIFICATE,
  type ShownCertificate,
  shownBy,
} from './client-certificate.ts';

/** Milliseconds. A sweep asks the clock anew, where a timer for each end would miss its jumps. */
const SWEEP_INTERVAL_MS = 500;

export interface ClientCertificatesParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly denied: DeniedCertificateReader;
  /** Ends a connection, after what is in flight on it. */
  readonly end: (socket: Socket) => void;
}

export class ClientCertificates {
  private readonly parts: ClientCertificatesParts;
  /** Every connection that showed a certificate, with undefined where it counts for nothing. */
  private readonly connections = new Map<Socket, ShownCertificate | undefined>();
  private timer: NodeJS.Timeout | undefined;
  private isFailing = false;
  /** SHA-256 of the roots that listeners judge by; undefined as long as they are those with which they began. */
  private roots: ReadonlySet<string> | undefined;

  constructor(parts: ClientCertificatesParts) {
    this.parts = parts;
  }

  /** For each new connection, at the end of its handshake. What it shows is read now, and never again. */
  take(socket: Socket): void {
    if (!(socket instanceof TLSSocket)) return;
    const certificate = socket.getPeerX509Certificate();
    if (!certificate) return;
    const { authorized } = socket;
    if (authorized && this.roots && !this.roots.has(rootOf(socket))) {
      // Its handshake was under way when they were changed, and OpenSSL judges by those with which it began.
      this.end(socket, undefined, 'the trusted roots were changed amid its handshake');
      return;
    }
    this.connections.set(socket, shownBy({ authorized, resumed: socket.isSessionReused(), certificate }));
    socket.once('close', () => this.connections.delete(socket));
  }

  /** What the requests of a connection come with. */
  of(socket: Socket): CertificateAt {
    const shown = this.connections.get(socket);
    if (!shown) return NO_CERTIFICATE;
    return (now) => certificateAt(shown, now, (serial) => this.isDenied(serial));
  }

  /** From now on listeners judge by these. @param roots in PEM. */
  judgeBy(roots: string): void {
    this.roots = new Set(parseCertificates(roots).map(({ fingerprint256 }) => fingerprint256));
  }

  /** The roots were changed: who was judged by those before must shake hands again. */
  trustChanged(): void {
    for (const [socket, shown] of this.connections) this.end(socket, shown, 'the trusted roots were changed');
  }

  start(): void {
    this.timer ??= setInterval(() => this.sweep(), SWEEP_INTERVAL_MS).unref();
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private isDenied(serial: string): boolean {
    try {
      return this.parts.denied.has(serial);
    } catch (error) {
      throw new CountersignError(
        'store-unavailable',
        "The store can't say whether the client certificate is denied, so nothing is served. Send it again as it is, or sign it afresh.",
        { cause: error, members: { outcome: 'unknown' }, headers: { 'Retry-After': '1' } },
      );
    }
  }

  private sweep(): void {
    if (this.connections.size === 0) return;
    const { clock, denied, logger } = this.parts;
    try {
      const [now, serials] = [epochSeconds(clock), denied.all()];
      for (const [socket, shown] of this.connections) {
        if (!shown) continue;
        if (serials.has(shown.serial)) this.end(socket, shown, 'it was denied');
        else if (now >= shown.notAfter) this.end(socket, shown, 'it has ended');
      }
      this.isFailing = false;
    } catch (error) {
      // Each request asks for itself, and is refused then.
      if (!this.isFailing) logger.error({ err: error }, 'denied certificates could not be read');
      this.isFailing = true;
    }
  }

  private end(socket: Socket, shown: ShownCertificate | undefined, why: string): void {
    // From now on it shows nothing: requests that are on their way already are judged without.
    this.connections.delete(socket);
    const { serial, uri } = shown ?? {};
    this.parts.logger.info({ serial, uri, why }, 'a connection ends with its client certificate');
    this.parts.end(socket);
  }
}

/** The fingerprint of what stands above the peer's certificate, as its handshake found it. */
function rootOf(socket: TLSSocket): string {
  let each = socket.getPeerCertificate(true);
  while (each.issuerCertificate && each.issuerCertificate !== each) each = each.issuerCertificate;
  return each.fingerprint256;
}
