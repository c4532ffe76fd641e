/**
 * The pipeline over a started gateway's store, with parts of the test's own choice: its routes, its limits.
 * @module
 */
import { Passwords } from '../../src/accounts/password.ts';
import { RepeatedRefusals } from '../../src/audit/repeated-refusals.ts';
import { UnverifiedCalls } from '../../src/audit/unverified-calls.ts';
import { KeyDirectory } from '../../src/consumers/key-directory.ts';
import { type AppParts, createApp } from '../../src/gateway/app.ts';
import { type Route, SIGNED } from '../../src/gateway/call.ts';
import { endConnection, Listener } from '../../src/gateway/listener.ts';
import { Metrics } from '../../src/gateway/metrics.ts';
import { recordRefusal } from '../../src/gateway/middleware/audit-refusal.ts';
import { Peers } from '../../src/gateway/peer.ts';
import { peopleParts } from '../../src/gateway/routes/people/parts.ts';
import { Routes } from '../../src/gateway/routes/routes.ts';
import { ClientCertificates } from '../../src/gateway/tls/client-certificates.ts';
import type { TlsServing } from '../../src/gateway/tls/server-context.ts';
import { ConsumerQuotas } from '../../src/limits/consumer-quotas.ts';
import { FailureBuckets } from '../../src/limits/failure-bucket.ts';
import type { TestGateway } from '../../src/testing.ts';
import { type CapturedLog, capturedLog } from './captured-log.ts';
import type { Target } from './wire.ts';

export interface PipelineUnderTest extends Target {
  readonly log: CapturedLog;
  readonly certificates: ClientCertificates;
  close(): Promise<void>;
}

/** A route that asks for a signature and answers a GET as it is told. */
export const signedRoute = (answer: Route['answer'], more: Partial<Route> = {}): Route => ({
  name: 'under-test',
  credential: SIGNED,
  role: 'any',
  idempotency: 'none',
  schema: null,
  conditions: false,
  encodedSlash: false,
  answer,
  ...more,
});

/** Listens on a free loopback port. @param own routes by path and method. @param tls for https instead of http. */
export async function startPipeline(
  { store, clock }: TestGateway,
  own: Readonly<Record<string, Readonly<Record<string, Route>>>>,
  parts: Partial<AppParts> = {},
  tls?: TlsServing,
): Promise<PipelineUnderTest> {
  const log = capturedLog();
  const certificates = new ClientCertificates({
    clock,
    logger: log.logger,
    denied: store.deniedCertificates,
    end: endConnection,
  });
  const routes = new Routes({ own, local: new Set(), management: [], upstream: () => undefined });
  const keys = new KeyDirectory(store.consumers, store.vault);
  const buckets = new FailureBuckets({ burst: 200, perSecond: 20 }, clock);
  const { commitGroup } = store;
  let authority = '';
  const app = createApp({
    clock,
    logger: log.logger,
    metrics: new Metrics(() => 0),
    keys,
    nonces: store.nonces,
    buckets,
    quotas: () => new ConsumerQuotas([]),
    quotaStore: store.quotas,
    people: peopleParts({
      clock,
      keys,
      commitGroup,
      vault: store.vault,
      skew: 30,
      keyLife: 3600,
      accounts: store.accounts,
      passwords: new Passwords(),
      failures: buckets,
      origin: () => `http://${authority}`,
    }),
    commitGroup,
    peers: new Peers([]),
    certificates,
    origins: () => [{ scheme: tls ? 'https' : 'http', authority }],
    routes: () => routes,
    life: { maxLife: 300, skew: 30 },
    record: recordRefusal({
      commitGroup: store.commitGroup,
      unverified: new UnverifiedCalls(),
      repeated: new RepeatedRefusals(),
      logger: log.logger,
    }),
    mostBody: 1000,
    mostInFlight: 100,
    ...parts,
  });
  const listener = new Listener(app.callback(), undefined, tls);
  listener.onSocket((socket) => certificates.take(socket));
  certificates.start();
  const port = await listener.listen({ host: '127.0.0.1', port: 0 });
  authority = `127.0.0.1:${port}`;
  const close = () => {
    certificates.stop();
    return listener.close();
  };
  return { port, scheme: tls ? 'https' : 'http', clock, log, certificates, close };
}
