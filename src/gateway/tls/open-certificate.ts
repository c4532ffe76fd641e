/**
 * The certificate that a start needs before it can listen: taken up, or asked for and waited for.
 * @module
 */
import type { Logger } from 'pino';
import type { Pacing } from '../../client/certificate/renewal.ts';
import type { Clock } from '../../clock.ts';
import type { TlsSettings } from '../../config/config.ts';
import { GatewayCertificate } from './gateway-certificate.ts';

export interface CertificateStart {
  /** The data folder. */
  readonly data: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Ends the wait; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  readonly pacing?: Partial<Pacing> | undefined;
}

/** `start-up-failed` where there is no root to trust. @returns undefined where no TLS is served. */
export async function openCertificate(
  tls: TlsSettings | undefined,
  { signal, ...start }: CertificateStart,
): Promise<GatewayCertificate | undefined> {
  if (!tls) return undefined;
  const answer = tls.development ? await developmentIssuer(tls, start) : undefined;
  const certificate = new GatewayCertificate({ ...start, tls, answer });
  try {
    return await certificate.open(signal);
  } catch (error) {
    await certificate.close();
    throw error;
  }
}

async function developmentIssuer(tls: TlsSettings, { data, clock, logger }: CertificateStart) {
  // Here alone, since no gateway but a developer's has an issuer's tools in its memory.
  const { DevelopmentIssuer } = await import('./development-issuer.ts');
  const issuer = await DevelopmentIssuer.open({ tls, data, clock, logger });
  return () => issuer.answer();
}
