/**
 * `countersign serve`: runs the gateway until SIGTERM or SIGINT; SIGHUP reads the configuration again.
 * @module
 */
import { isatty } from 'node:tty';
import type { Command } from 'commander';
import type { Logger } from 'pino';
import { systemClock } from '../clock.ts';
import { CountersignError } from '../errors.ts';
import type { Gateway } from '../main.ts';
import { type CommonOptions, command, configOf, REFUSED } from './command.ts';

/** Within these milliseconds a second signal is the first one: npm passes on what a terminal sends to both of us. */
const SAME_REQUEST_MS = 500;

export function serve(): Command {
  return command('serve', 'run the gateway').action(async (options: CommonOptions) => {
    const config = configOf(options);
    // Here alone, since it takes longer to load than most commands run.
    const { createLogger, startGateway } = await import('../main.ts');
    const { logger, flush } = createLogger(config.logLevel);
    // From the beginning, since the signal ends a process that doesn't handle it. A start takes it to heart at its end.
    let isDue = false;
    let readAgain = () => {
      isDue = true;
    };
    const hadTerminal = isatty(0);
    process.on('SIGHUP', () => {
      if (hadTerminal && !isatty(0)) endOfHangUp();
      else readAgain();
    });
    const gateway = await startGateway(config, { clock: systemClock, logger });
    let askedAt: number | undefined;
    const stop = async (signal: NodeJS.Signals) => {
      if (askedAt !== undefined) {
        // Somebody who asks twice doesn't want to wait for what is in flight.
        if (performance.now() - askedAt > SAME_REQUEST_MS) process.exit(REFUSED);
        return;
      }
      askedAt = performance.now();
      logger.info({ signal }, 'stopping');
      await gateway.close();
      logger.info('stopped');
      flush();
      process.exit(0);
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
    readAgain = () => reload(options, gateway, logger);
    if (isDue) readAgain();

    // For people: standard output belongs to the log.
    process.stderr.write(`Countersign serves ${gateway.url}\n`);
    if (gateway.demoFile !== undefined) {
      process.stderr.write(`Try it from another terminal:\n\n  ${firstCall()}\n\n`);
    }
  });
}

/**
 * A terminal that is closed sends SIGHUP too, and is none any more. Nothing can be written then, and Node crashes where
 * it exits without the terminal that it began with (measured: abort or segmentation fault). A kill loses nothing.
 */
function endOfHangUp(): void {
  process.kill(process.pid, 'SIGKILL');
}

/** A faulty configuration changes nothing, and every fault is told. */
function reload(options: CommonOptions, gateway: Gateway, logger: Logger): void {
  try {
    gateway.reload(configOf(options));
  } catch (error) {
    if (!(error instanceof CountersignError)) throw error;
    const { code, message: detail, members } = error;
    logger.error({ code, detail, ...members }, 'not reloaded: the configuration stays as it was');
  }
}

function firstCall(): string {
  return `npx --no countersign call POST /v1/echo '{"hello":"world"}'`;
}
