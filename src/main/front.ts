/**
 * What callers meet: the pipeline, the public listener and the admin's, and the certificates that are shown there.
 * @module
 */
import { createApp } from '../gateway/app.ts';
import { endConnection, Listener, type Unparsed } from '../gateway/listener.ts';
import { Peers } from '../gateway/peer.ts';
import { ClientCertificates } from '../gateway/tls/client-certificates.ts';
import type { GatewayCertificate } from '../gateway/tls/gateway-certificate.ts';
import type { TlsServing } from '../gateway/tls/server-context.ts';
import { TrustWatch } from '../gateway/tls/trust-watch.ts';
import type { Keeping } from './keeping.ts';
import type { Settings } from './settings.ts';
import type { Start } from './start.ts';
import type { Work } from './work.ts';

/** Calls that one process holds at once: beyond it, waiting costs every caller more than being told. */
const MOST_IN_FLIGHT = 4096;

export interface FrontParts extends Start {
  readonly certificate: GatewayCertificate | undefined;
  readonly keeping: Keeping;
  readonly settings: Settings;
  readonly work: Work;
}

export interface Front {
  /** Serves from now on. `listen-failed` */
  listen(): Promise<{ port: number; adminPort: number | undefined }>;
}

/** At the end, no connection is taken any more, and what is in flight is finished. */
export function openFront(parts: FrontParts): Front {
  const { config, clock, logger, closers, certificate, keeping, settings, work } = parts;
  const { store, keys, metrics, unverified, record } = keeping;
  const { buckets, people } = work;
  const certificates = new ClientCertificates({
    clock,
    logger,
    denied: store.deniedCertificates,
    end: endConnection,
  });
  const app = createApp({
    clock,
    logger,
    metrics,
    keys,
    nonces: store.nonces,
    buckets,
    people,
    commitGroup: store.commitGroup,
    quotas: () => settings.quotas,
    quotaStore: store.quotas,
    peers: new Peers(config.trustedProxies),
    certificates,
    origins: () => settings.origins,
    routes: () => settings.routes,
    life: config.signatures,
    record,
    mostBody: config.limits.body,
    mostInFlight: MOST_IN_FLIGHT,
  });
  const unparsed: Unparsed = (code, address) => {
    metrics.refusedUnparsed(code);
    unverified.count(address ?? '', code);
    logger.info({ code, address }, 'call that is no HTTP');
  };
  const handle = app.callback();
  const listener = new Listener(handle, unparsed, certificate?.serving());
  const admin = new Listener(handle, unparsed, certificate?.serving());
  closers.add(() => Promise.all([listener.close(), admin.close()]));
  const useTls = (tls: TlsServing) => {
    for (const each of [listener, admin]) each.useTls(tls);
    if (tls.clientRoots !== undefined) certificates.judgeBy(tls.clientRoots);
  };
  certificate?.follow(useTls);
  for (const each of [listener, admin]) each.onSocket((socket) => certificates.take(socket));
  closers.add(() => certificates.stop());
  if (certificate && config.tls?.clientCertificates === 'request') {
    const trustWatch = new TrustWatch({
      read: () => certificate.trust(),
      onChange() {
        useTls(certificate.serving());
        certificates.trustChanged();
      },
      logger,
    });
    closers.add(() => trustWatch.stop());
  }
  return {
    async listen() {
      const { host, adminPort: wanted } = config;
      const port = await listener.listen({ host, port: config.port });
      settings.listensOn(port);
      const adminPort =
        wanted === undefined ? undefined : await admin.listen({ host, port: wanted, admin: true });
      certificates.start();
      return { port, adminPort };
    },
  };
}
