/**
 * The composition root: the only place that builds the parts and joins them, in the order in which they are read here.
 * @module
 */
import { existsSync } from 'node:fs';
import { type Logger, pino } from 'pino';
import { systemClock } from './clock.ts';
import { type Config, isLoopbackHost } from './config/config.ts';
import { demoFile, noteDemoUrl } from './consumers/demo.ts';
import type { PublicDemoParts } from './consumers/public-demo.ts';
import { makeDemo, openOrEndDemo } from './gateway/demo-keys.ts';
import { checkStartUp, runStartUp } from './gateway/start-up.ts';
import { openCertificate } from './gateway/tls/open-certificate.ts';
import { Closers } from './main/closers.ts';
import { openFront } from './main/front.ts';
import type { Gateway, GatewayOptions } from './main/gateway.ts';
import { openKeeping } from './main/keeping.ts';
import { routing } from './main/routing.ts';
import { Settings } from './main/settings.ts';
import type { Start } from './main/start.ts';
import { beginWork, type Work } from './main/work.ts';

export type { Gateway, GatewayOptions } from './main/gateway.ts';

/** Milliseconds. */
const PURGE_INTERVAL = 30_000;
const MINUTE = 60_000;

/** Log lines go to standard output, written in the background so that no call waits for them. */
export function createLogger(level: string): { logger: Logger; flush: () => void } {
  const destination = pino.destination({ dest: 1, sync: false });
  return { logger: pino({ level, base: null }, destination), flush: () => destination.flushSync() };
}

/** Opens the store, builds the pipeline, does what is to be done first, and listens. What can't be started is closed again. */
export async function startGateway(config: Config, options: GatewayOptions = {}): Promise<Gateway> {
  const { clock = systemClock, logger = pino({ level: 'silent' }) } = options;
  // Before a certificate is waited for.
  checkStartUp(options.startUp ?? []);
  const closers = new Closers();
  try {
    return await open({ config, clock, logger, closers }, options);
  } catch (error) {
    await closers.close().catch((failure) => logger.error({ err: failure }, 'a start could not be undone'));
    throw error;
  }
}

async function open(start: Start, options: GatewayOptions): Promise<Gateway> {
  const { config, clock, logger, closers } = start;
  const { endpoints = [], startUp = [], deliver = {}, signal, certificatePacing: pacing } = options;
  const { data, tls } = config;

  const certificate = await openCertificate(tls, { data, clock, logger, signal, pacing });
  if (certificate) closers.add(() => certificate.close());
  const keeping = openKeeping({ ...start, certificate, onMessage: () => work.deliveries.wake() });
  const { store, minutes, keyWatch } = keeping;
  const demo: PublicDemoParts = { consumers: store.consumers, vault: store.vault, facts: store };

  const settings = new Settings(config, logger);
  const work: Work = beginWork({ ...start, keeping, settings, deliver });
  settings.routeBy(routing({ ...start, certificate, keeping, settings, work, demo, endpoints }));
  const front = openFront({ ...start, certificate, keeping, settings, work });

  repeat(closers, PURGE_INTERVAL, () => {
    store.purge().catch((error) => logger.error({ err: error }, 'nonces could not be purged'));
  });
  repeat(closers, MINUTE, () => void minutes.write());

  const demoKeyid = isLoopbackHost(config.host) ? await makeDemo(store, data, clock) : undefined;
  await openOrEndDemo(store, demo, config.publicDemo, clock);
  await work.accounts.sweep();
  await runStartUp(startUp);

  const { port, adminPort } = await front.listen();
  const url = settings.origin();
  if (demoKeyid !== undefined) noteDemoUrl(data, demoKeyid, url, certificate?.trust());
  logger.info({ url, port, adminPort, data, nonces: store.nonceCount }, 'listening');
  keyWatch.start();
  // The file may be gone: its owner removed it, or the folder came out of a backup, which leaves it out.
  const credentials = demoKeyid !== undefined && existsSync(demoFile(data)) ? demoFile(data) : undefined;
  return {
    url,
    port,
    adminPort,
    demoFile: credentials,
    store,
    reload: (next) => settings.reload(next),
    close: () => closers.close(),
  };
}

function repeat(closers: Closers, milliseconds: number, task: () => void): void {
  const timer = setInterval(task, milliseconds).unref();
  closers.add(() => clearInterval(timer));
}
