/**
 * `countersign serve`: runs the gateway until SIGTERM or SIGINT.
 * @module
 */
import type { Command } from 'commander';
import { systemClock } from '../clock.ts';
import { createLogger, startGateway } from '../main.ts';
import { type CommonOptions, command, configOf, REFUSED } from './command.ts';

export function serve(): Command {
  return command('serve', 'run the gateway').action(async (options: CommonOptions) => {
    const config = configOf(options);
    const { logger, flush } = createLogger(config.logLevel);
    const gateway = await startGateway(config, { clock: systemClock, logger });
    // For people: standard output belongs to the log.
    process.stderr.write(`Countersign serves ${gateway.url}\n`);
    if (gateway.demoFile !== undefined) {
      process.stderr.write(`Try it from another terminal:\n\n  ${firstCall()}\n\n`);
    }

    let stopping = false;
    const stop = async (signal: NodeJS.Signals) => {
      // Somebody who asks twice doesn't want to wait for what is in flight.
      if (stopping) process.exit(REFUSED);
      stopping = true;
      logger.info({ signal }, 'stopping');
      await gateway.close();
      logger.info('stopped');
      flush();
      process.exit(0);
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
}

function firstCall(): string {
  return `npx --no countersign call POST /v1/echo '{"hello":"world"}'`;
}
