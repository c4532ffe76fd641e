/**
 * The composition root: the only place that builds the parts and joins them.
 * @module
 */
import { existsSync } from 'node:fs';
import { type Logger, pino } from 'pino';
import { Passwords } from './accounts/password.ts';
import { Minutes } from './audit/minutes.ts';
import { RepeatedRefusals } from './audit/repeated-refusals.ts';
import { UnverifiedCalls } from './audit/unverified-calls.ts';
import type { Pacing } from './client/index.ts';
import { type Clock, epochSeconds, systemClock } from './clock.ts';
import { type Config, isLoopbackHost, type Origin, originText, publicOrigins } from './config/config.ts';
import { follow, type Reload } from './config/reload.ts';
import { demoFile, noteDemoUrl } from './consumers/demo.ts';
import { daysLeft } from './consumers/expiry.ts';
import { KeyDirectory } from './consumers/key-directory.ts';
import { PUBLIC_DEMO_QUOTA, type PublicDemoParts } from './consumers/public-demo.ts';
import { createApp } from './gateway/app.ts';
import { currentDemoKey, makeDemo, openOrEndDemo } from './gateway/demo-keys.ts';
import { KeyWatch } from './gateway/key-watch.ts';
import { endConnection, Listener, type Unparsed } from './gateway/listener.ts';
import { Metrics } from './gateway/metrics.ts';
import { recordRefusal } from './gateway/middleware/audit-refusal.ts';
import { Peers } from './gateway/peer.ts';
import { checkHostPaths, type HostEndpoint, hostRoutes } from './gateway/routes/host-endpoints.ts';
import { apiPages } from './gateway/routes/management/docs.ts';
import { apiDocument } from './gateway/routes/management/openapi.ts';
import { managementRoutes } from './gateway/routes/management/table.ts';
import { operationRoute } from './gateway/routes/operations.ts';
import { LOCAL_PATHS, ownRoutes } from './gateway/routes/own.ts';
import { accountDesk } from './gateway/routes/people/account-parts.ts';
import { accountRoutes } from './gateway/routes/people/account-table.ts';
import { peopleParts } from './gateway/routes/people/parts.ts';
import { peopleRoutes, wellKnownRoutes } from './gateway/routes/people/table.ts';
import { Routes } from './gateway/routes/routes.ts';
import { upstreamLookup } from './gateway/routes/upstream.ts';
import { checkStartUp, runStartUp, type StartUpTask } from './gateway/start-up.ts';
import { ClientCertificates } from './gateway/tls/client-certificates.ts';
import { openCertificate } from './gateway/tls/open-certificate.ts';
import type { TlsServing } from './gateway/tls/server-context.ts';
import { TrustWatch } from './gateway/tls/trust-watch.ts';
import { Upstreams } from './gateway/upstream/forward.ts';
import { type Deliver, Deliveries } from './idempotency/delivery.ts';
import { Operations } from './idempotency/operations.ts';
import { Owner } from './idempotency/owner.ts';
import { ConsumerQuotas } from './limits/consumer-quotas.ts';
import { FailureBuckets } from './limits/failure-bucket.ts';
import { SqliteStore } from './storage/sqlite/store.ts';

const PURGE_INTERVAL = 30_000;
const MINUTE = 60_000;
/** Calls that one process holds at once: beyond it, waiting costs every caller more than being told. */
const MOST_IN_FLIGHT = 4096;

export interface GatewayOptions {
  readonly clock?: Clock;
  readonly logger?: Logger;
  /**
   * Endpoints of your own, which share the gateway's promises: each happens once for each signed message or
   * Idempotency-Key, and what it keeps in `tx.state` and sends by `tx.outbox` commits with its record or not at all.
   *
   *     const count: Endpoint<string, number, { name: string; value: number }, 'counters'> = {
   *       name: 'counter.raise',
   *       role: 'counters',
   *       idempotency: 'nonce',
   *       parameters: ({ params }) => params.name as string,
   *       loadState: async (tx, name) => ((await tx.state.get('counters', name)) as number | undefined) ?? 0,
   *       updateState: (value, name) => ({ name, value: value + 1 }),
   *       apply: (tx, { name, value }) => tx.state.put('counters', name, value),
   *       getResponse: ({ value }) => ({ status: 200, body: { value } }),
   *       audit: ({ name, value }) => ({ subject: `counter:${name}`, detail: { value } }),
   *     };
   *     await startGateway(config, {
   *       endpoints: [{ method: 'POST', path: '/counters/{name}', endpoint: count }],
   *     });
   */
  readonly endpoints?: readonly HostEndpoint[];
  /**
   * What is to be done once before the first request is served, such as warming a cache: one after the other, each with
   * a time limit. The start stops with the name of the task that fails.
   */
  readonly startUp?: readonly StartUpTask[];
  /** What takes the messages of `tx.outbox`, by topic. A topic without one waits. */
  readonly deliver?: Readonly<Record<string, Deliver>>;
  /** Ends a start that waits for the gateway's certificate; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** How often the gateway looks for its next certificate, and when it asks for it. */
  readonly certificatePacing?: Partial<Pacing>;
}

export interface Gateway {
  /** The first public origin: what a caller on this machine puts before a path. */
  readonly url: string;
  readonly port: number;
  readonly adminPort: number | undefined;
  /** The demo consumer's credentials file, where there is a demo consumer. */
  readonly demoFile: string | undefined;
  readonly store: SqliteStore;
  /**
   * Follows a new configuration at once, as far as that needs no restart; calls in flight end on the routes that they
   * began with. What waits for a restart is named in the log, and in the answer.
   */
  reload(config: Config): Reload;
  /** Finishes what is in flight, refuses new connections, closes the database. */
  close(): Promise<void>;
}

/** Log lines go to standard output, written in the background so that no call waits for them. */
export function createLogger(level: string): { logger: Logger; flush: () => void } {
  const destination = pino.destination({ dest: 1, sync: false });
  return { logger: pino({ level, base: null }, destination), flush: () => destination.flushSync() };
}

/** Opens the store, builds the pipeline, does what is to be done first, and listens. What can't be started is closed again. */
export async function startGateway(config: Config, options: GatewayOptions = {}): Promise<Gateway> {
  const { clock = systemClock, logger = pino({ level: 'silent' }), endpoints = [], deliver = {} } = options;
  // Before a certificate is waited for.
  checkStartUp(options.startUp ?? []);
  const life = config.signatures;
  const ownCertificate = await openCertificate(config.tls, {
    data: config.data,
    clock,
    logger,
    signal: options.signal,
    pacing: options.certificatePacing,
  });

  const metrics: Metrics = new Metrics(() => store.nonceCount);
  const store: SqliteStore = new SqliteStore({
    folder: config.data,
    clock,
    skew: life.skew,
    masterKey: config.masterKey,
    onChange: (consumer) => keys.forget(consumer),
    onMessage: () => deliveries.wake(),
    observer: metrics,
  });
  const keys: KeyDirectory = new KeyDirectory(store.consumers, store.vault);
  if (store.fence > epochSeconds(clock)) {
    logger.warn({ fence: store.fence }, 'after a power loss: requests created up to the fence are refused');
  }

  const { usage } = keys;
  const { consumers, commitGroup } = store;
  const keyWatch = new KeyWatch({ clock, logger, consumers, commitGroup, usage });
  if (ownCertificate) metrics.watchCertificates(ownCertificate);
  metrics.watchKeys(() => {
    const now = epochSeconds(clock);
    return consumers.standingKeys(now).map((key) => ({ ...key, daysLeft: daysLeft(key, now) }));
  });

  const unverified = new UnverifiedCalls();
  const repeated = new RepeatedRefusals();
  const minutes = new Minutes({
    counted: [unverified, repeated],
    reader: store.audit,
    append: (events) =>
      store.commitGroup.run('audit the last minute', async (tx) => {
        for (const event of events) await tx.audit.append(event);
      }),
    logger,
  });

  const sealing = {
    seal: (id: string, result: Buffer) => store.vault.seal('result', id, result),
    open: (id: string, sealed: Buffer) => store.vault.open('result', id, sealed),
  };
  const { keyLife, keptBody: mostBody } = config.idempotency;
  const calls = new Owner();
  const operations = new Operations({ owner: calls, clock, sealing, keyLife, skew: life.skew, mostBody });
  const upstreams = new Upstreams({ maxBody: config.limits.upstreamBody });
  const demo: PublicDemoParts = { consumers: store.consumers, vault: store.vault, facts: store };
  const quotasOf = (config: Config) => new ConsumerQuotas([PUBLIC_DEMO_QUOTA, ...config.quotas]);
  const parts = {
    clock,
    keys,
    commitGroup: store.commitGroup,
    vault: store.vault,
    skew: life.skew,
    keyLife,
    consumers: store.consumers,
    accounts: store.accounts,
    roleSettings: () => ({
      listed: current.roles,
      grantable: current.grantableRoles,
      grantableTo: current.grantableTo,
      routes: current.routes,
    }),
  };
  const buckets = new FailureBuckets(config.limits.failures, clock);
  const passwords = new Passwords();
  const origin = () => originText(origins[0] as Origin);
  const people = peopleParts({ ...parts, passwords, failures: buckets, origin });
  const accounts = accountDesk(people, {
    store,
    passwords,
    registration: () => current.accounts.registration,
    listedRoles: () => current.roles,
    data: config.data,
    smtp: () => current.accounts.mail,
    origin,
    logger,
  });
  const deliveries: Deliveries = new Deliveries({
    queue: store.outbox,
    handlers: { ...deliver, ...accounts.deliver },
    owner: new Owner(),
    clock,
    onFailure: (error, delivery) =>
      logger.error({ err: error, ...delivery }, 'a message of the outbox could not be delivered'),
  });
  const own = {
    ...ownRoutes({
      readiness: () => ({ store: failureOf(() => store.ping()) }),
      metrics,
      document: apiPages(() => document),
      ...(ownCertificate && { trustBundle: () => ownCertificate.trustBundle() }),
      ...(config.publicDemo && { demoKey: () => currentDemoKey(store, demo, clock) }),
    }),
    ...wellKnownRoutes(people),
  };
  const management = [
    ...managementRoutes(parts, () => routes.inCode),
    ...peopleRoutes(people),
    ...accountRoutes(accounts.parts),
    operationRoute({ clock, operations, done: store.done }),
  ];
  const host = hostRoutes(endpoints, parts);
  const routesOf = ({ routes: table }: Config) => {
    const upstream = upstreamLookup(table, {
      upstreams,
      operations,
      commitGroup: store.commitGroup,
      keys,
      clock,
    });
    checkHostPaths(host, new Routes({ own, local: LOCAL_PATHS, management, upstream }).inCode, table);
    return new Routes({ own, local: LOCAL_PATHS, management, host, upstream });
  };
  let current = config;
  let routes: Routes;
  try {
    routes = routesOf(config);
  } catch (error) {
    await ownCertificate?.close();
    await deliveries.close();
    store.close();
    throw error;
  }
  const document = apiDocument(routes.inCode);
  let quotas = quotasOf(config);
  // Mail of an earlier run may go out before this one listens.
  let origins = config.port === 0 && config.origins.length === 0 ? [] : publicOrigins(config, config.port);
  let port = 0;

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
    quotas: () => quotas,
    quotaStore: store.quotas,
    peers: new Peers(config.trustedProxies),
    certificates,
    origins: () => origins,
    routes: () => routes,
    life,
    record: recordRefusal({ commitGroup: store.commitGroup, unverified, repeated, logger }),
    mostBody: config.limits.body,
    mostInFlight: MOST_IN_FLIGHT,
  });
  const handle = app.callback();
  const unparsed: Unparsed = (code, address) => {
    metrics.refusedUnparsed(code);
    unverified.count(address ?? '', code);
    logger.info({ code, address }, 'call that is no HTTP');
  };
  const listener = new Listener(handle, unparsed, ownCertificate?.serving());
  const admin = new Listener(handle, unparsed, ownCertificate?.serving());
  const useTls = (tls: TlsServing) => {
    for (const each of [listener, admin]) each.useTls(tls);
  };
  ownCertificate?.follow(useTls);
  for (const each of [listener, admin]) each.onSocket((socket) => certificates.take(socket));
  const trustWatch =
    ownCertificate &&
    config.tls?.clientCertificates === 'request' &&
    new TrustWatch({
      read: () => ownCertificate.trust(),
      onChange() {
        useTls(ownCertificate.serving());
        certificates.trustChanged();
      },
      logger,
    });

  const purge = setInterval(() => {
    store.purge().catch((error) => logger.error({ err: error }, 'nonces could not be purged'));
  }, PURGE_INTERVAL);
  purge.unref();
  const eachMinute = setInterval(() => void minutes.write(), MINUTE);
  eachMinute.unref();

  function reload(next: Config): Reload {
    const done = follow(current, next);
    // All are made before the first is put in place: what fails leaves everything as it was.
    const [newRoutes, newQuotas] = [routesOf(done.config), quotasOf(done.config)];
    current = done.config;
    routes = newRoutes;
    quotas = newQuotas;
    origins = publicOrigins(current, port);
    if (done.changed.includes('logLevel')) logger.level = current.logLevel;
    logger.info({ changed: done.changed, routes: current.routes.length }, 'reloaded');
    if (done.restart.length > 0) {
      logger.warn({ settings: done.restart }, 'changed, and in force after a restart alone');
    }
    return done;
  }

  async function close(): Promise<void> {
    clearInterval(purge);
    clearInterval(eachMinute);
    await ownCertificate?.close();
    if (trustWatch) trustWatch.stop();
    certificates.stop();
    await Promise.all([listener.close(), admin.close()]);
    await upstreams.close();
    await calls.idle();
    await deliveries.close();
    accounts.close();
    await keyWatch.stop();
    await minutes.write();
    store.close();
  }

  try {
    const demoKeyid = isLoopbackHost(config.host) ? await makeDemo(store, config.data, clock) : undefined;
    await openOrEndDemo(store, demo, config.publicDemo, clock);
    await accounts.sweep();
    await runStartUp(options.startUp ?? []);
    port = await listener.listen({ host: config.host, port: config.port });
    origins = publicOrigins(config, port);
    const url = originText(origins[0] as Origin);
    if (demoKeyid !== undefined) noteDemoUrl(config.data, demoKeyid, url, ownCertificate?.trust());
    const adminPort =
      config.adminPort === undefined
        ? undefined
        : await admin.listen({ host: config.host, port: config.adminPort, admin: true });
    logger.info({ url, port, adminPort, data: config.data, nonces: store.nonceCount }, 'listening');
    keyWatch.start();
    certificates.start();
    // The file may be gone: its owner removed it, or the folder came out of a backup, which leaves it out.
    const credentials = demoFile(config.data);
    const hasDemo = demoKeyid !== undefined && existsSync(credentials);
    return { url, port, adminPort, demoFile: hasDemo ? credentials : undefined, store, reload, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function failureOf(check: () => void): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
