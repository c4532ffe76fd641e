/**
 * The pipeline: every stage that a call goes through, in order.
 * @module
 */
import Koa from 'koa';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import type { Origin } from '../config/config.ts';
import type { KeyDirectory } from '../consumers/key-directory.ts';
import type { ConsumerQuotas } from '../limits/consumer-quotas.ts';
import type { FailureBuckets } from '../limits/failure-bucket.ts';
import type { QuotaStore } from '../limits/quotas.ts';
import type { NonceStore } from '../replay/nonces.ts';
import type { LifePolicy } from '../signatures/request-profile.ts';
import type { CommitGroup } from '../storage/unit-of-work.ts';
import type { CallState, Stage } from './call.ts';
import type { Metrics } from './metrics.ts';
import { answer } from './middleware/answer.ts';
import { auditRefusal, type RecordRefusal } from './middleware/audit-refusal.ts';
import { authenticate } from './middleware/authenticate.ts';
import { authenticatePerson, type People } from './middleware/authenticate-person.ts';
import { authorizeCall } from './middleware/authorize-call.ts';
import { claimNonce } from './middleware/claim-nonce.ts';
import { demandCertificate } from './middleware/demand-certificate.ts';
import { drainBody } from './middleware/drain-body.ts';
import { findRoute } from './middleware/find-route.ts';
import { limitConsumer } from './middleware/limit-consumer.ts';
import { limitFailures } from './middleware/limit-failures.ts';
import { logRequest } from './middleware/log-request.ts';
import { readBody } from './middleware/read-body.ts';
import { readMessage } from './middleware/read-message.ts';
import { renderProblem } from './middleware/render-problem.ts';
import { shedLoad } from './middleware/shed-load.ts';
import { signResponse } from './middleware/sign-response.ts';
import { tellQuota } from './middleware/tell-quota.ts';
import { verifyDigest } from './middleware/verify-digest.ts';
import type { Peers } from './peer.ts';
import { PROBES } from './routes/own.ts';
import type { Routes } from './routes/routes.ts';
import type { ClientCertificates } from './tls/client-certificates.ts';

export interface AppParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly keys: KeyDirectory;
  readonly nonces: NonceStore;
  readonly buckets: FailureBuckets;
  readonly quotas: () => ConsumerQuotas;
  readonly quotaStore: QuotaStore;
  readonly people: People;
  readonly commitGroup: CommitGroup;
  readonly peers: Peers;
  readonly certificates: Pick<ClientCertificates, 'of'>;
  readonly origins: () => readonly Origin[];
  readonly routes: () => Routes;
  readonly life: LifePolicy;
  readonly record: RecordRefusal;
  /** Bytes. */
  readonly mostBody: number;
  readonly mostInFlight: number;
}

/** On the way in from top to bottom, on the way out from bottom to top. */
export function pipeline(parts: AppParts): readonly Stage[] {
  const { clock, logger, metrics, keys, nonces, buckets, quotas, quotaStore, peers, origins, routes } = parts;
  const { life, record, people, commitGroup } = parts;
  return [
    drainBody,
    logRequest({ logger, metrics }),
    signResponse({ clock, logger, record }),
    tellQuota({ quotas, quotaStore, logger }),
    renderProblem({ logger }),
    shedLoad({ mostInFlight: parts.mostInFlight }),
    auditRefusal({ record }),
    readMessage({ peers, certificates: parts.certificates, origins, probes: PROBES }),
    limitFailures({ buckets, keys }),
    findRoute({ routes }),
    authenticate({ clock, keys, life }),
    authenticatePerson({ clock, people, commitGroup }),
    claimNonce({ clock, keys, nonces, quotaStore }),
    demandCertificate({ clock }),
    limitConsumer({ quotas, quotaStore }),
    readBody({ mostBytes: parts.mostBody }),
    verifyDigest,
    authorizeCall,
    answer,
  ];
}

export function createApp(parts: AppParts): Koa<CallState> {
  const app = new Koa<CallState>();
  for (const stage of pipeline(parts)) app.use(stage);
  // What gets here escaped every stage. Koa marks a connection that broke while it was answered, which any caller
  // can bring about; the rest is a defect of ours.
  app.on('error', (error) => {
    if (error.headerSent) parts.logger.debug({ reason: error.code }, 'a caller went away');
    else parts.logger.error({ err: error }, 'a call ended outside the pipeline');
  });
  return app;
}
