#!/usr/bin/env node
/**
 * The command line: one file a noun. Exit 0 done, 1 refused or failed, 2 misused.
 * @module
 */
import { Command, CommanderError } from 'commander';
import { account } from './account.ts';
import { audit } from './audit.ts';
import { backup } from './backup.ts';
import { ca } from './ca.ts';
import { call } from './call.ts';
import { MISUSED, REFUSED, reportError } from './command.ts';
import { config } from './config.ts';
import { consumer } from './consumer.ts';
import { doctor } from './doctor.ts';
import { explain } from './explain.ts';
import { key } from './key.ts';
import { restore } from './restore.ts';
import { serve } from './serve.ts';

const program = new Command('countersign')
  .description('A gateway for calls between services: signed requests in, countersigned responses out.')
  .showHelpAfterError('(--help tells more)');
for (const each of [serve, consumer, key, account, audit, call, explain, config, ca, backup, restore, doctor])
  program.addCommand(each());

/** Commander exits with 1 where it is misused; ours is 2. */
function throwInstead(command: Command): void {
  command.exitOverride();
  for (const each of command.commands) throwInstead(each);
}
throwInstead(program);

// Whoever reads us has read enough, as `head` does: no defect. What can't be told is not gone on with.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(REFUSED);
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : MISUSED;
  else {
    reportError(error, process.argv.includes('--json'));
    process.exitCode = REFUSED;
  }
}
