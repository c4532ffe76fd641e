/**
 * `countersign serve`: runs the gateway until SIGTERM or SIGINT; SIGHUP reads the configuration again.
 * @module
 */
import type { Command } from 'commander';
import type { Logger } from 'pino';
import { systemClock } from '../clock.ts';
import { CountersignError } from '../errors.ts';
import { trustFile } from '../gateway/tls/gateway-certificate.ts';
import type { Gateway } from '../main.ts';
import { type CommonOptions, command, configOf, REFUSED } from './command.ts';
import { onHangUp } from './hang-up.ts';

/** Within these milliseconds a second signal is the first one: npm passes on what a terminal sends to both of us. */
const SAME_REQUEST_MS = 500;

interface ServeOptions extends CommonOptions {
  readonly tls?: true;
}

export function serve(): Command {
  const verb = command('serve', 'run the gateway').option(
    '--tls',
    'serve TLS with a root of this machine, for development: it is not offline',
  );
  return verb.action(async (options: ServeOptions) => {
    const config = configOf(options, { developmentTls: options.tls });
    // Here alone, since it takes longer to load than most commands run.
    const { createLogger, startGateway } = await import('../main.ts');
    const { logger, flush } = createLogger(config.logLevel);
    // From the beginning, since the signal ends a process that doesn't handle it. A start takes it to heart at its end.
    let isDue = false;
    let readAgain = () => {
      isDue = true;
    };
    onHangUp(() => readAgain());
    // A start that waits for its certificate can take days: carried by hand, it comes when it comes.
    const waiting = new AbortController();
    let gateway: Gateway | undefined;
    let askedAt: number | undefined;
    const stop = async (signal: NodeJS.Signals) => {
      if (askedAt !== undefined) {
        // Somebody who asks twice doesn't want to wait for what is in flight.
        if (performance.now() - askedAt > SAME_REQUEST_MS) process.exit(REFUSED);
        return;
      }
      askedAt = performance.now();
      logger.info({ signal }, 'stopping');
      waiting.abort();
      if (gateway) await end(gateway);
    };
    const end = async (started: Gateway | undefined) => {
      await started?.close();
      logger.info('stopped');
      flush();
      process.exit(0);
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
    try {
      gateway = await startGateway(config, { clock: systemClock, logger, signal: waiting.signal });
    } catch (error) {
      if (error !== waiting.signal.reason) throw error;
    }
    if (!gateway || waiting.signal.aborted) return end(gateway);
    const serving = gateway;
    readAgain = () => reload(options, serving, logger);
    if (isDue) readAgain();

    // For people: standard output belongs to the log.
    process.stderr.write(`Countersign serves ${serving.url}\n`);
    if (config.tls) {
      const trust = trustFile(config.data);
      const what = config.tls.development ? 'For development, with a root that is not offline. ' : '';
      process.stderr.write(`${what}Callers trust ${trust} (curl --cacert, NODE_EXTRA_CA_CERTS).\n`);
    }
    if (serving.demoFile !== undefined) {
      process.stderr.write(`Try it from another terminal:\n\n  ${firstCall()}\n\n`);
    }
  });
}

/** A faulty configuration changes nothing, and every fault is told. */
function reload(options: ServeOptions, gateway: Gateway, logger: Logger): void {
  try {
    gateway.reload(configOf(options, { developmentTls: options.tls }));
  } catch (error) {
    if (!(error instanceof CountersignError)) throw error;
    const { code, message: detail, members } = error;
    logger.error({ code, detail, ...members }, 'not reloaded: the configuration stays as it was');
  }
}

function firstCall(): string {
  return `npx --no countersign call POST /v1/echo '{"hello":"world"}'`;
}
