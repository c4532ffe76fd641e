/**
 * `countersign serve`: runs the gateway until SIGTERM or SIGINT.
 * @module
 */
import type { Command } from 'commander';
import { systemClock } from '../clock.ts';
import { type CommonOptions, command, configOf, REFUSED } from './command.ts';

/** Within these milliseconds a second signal is the first one: npm passes on what a terminal sends to both of us. */
const SAME_REQUEST_MS = 500;

export function serve(): Command {
  return command('serve', 'run the gateway').action(async (options: CommonOptions) => {
    const config = configOf(options);
    // Here alone, since it takes longer to load than most commands run.
    const { createLogger, startGateway } = await import('../main.ts');
    const { logger, flush } = createLogger(config.logLevel);
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

    // For people: standard output belongs to the log.
    process.stderr.write(`Countersign serves ${gateway.url}\n`);
    if (gateway.demoFile !== undefined) {
      process.stderr.write(`Try it from another terminal:\n\n  ${firstCall()}\n\n`);
    }
  });
}

function firstCall(): string {
  return `npx --no countersign call POST /v1/echo '{"hello":"world"}'`;
}
