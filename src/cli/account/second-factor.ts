/**
 * `countersign account totp`: another second factor, shown once, for who has lost the telephone, or was given a role that
 * asks for a code.
 * @module
 */
import type { Command } from 'commander';
import { renderUnicodeCompact } from 'uqr';
import { endAll } from '../../accounts/generation.ts';
import { drawEnrolment, type Enrolment, enrol } from '../../accounts/second-factor.ts';
import { type CommonOptions, command, print, printJson, withStore } from '../command.ts';
import { ACCOUNT, findAccount } from './find.ts';

export function totp(): Command {
  return command('totp', 'hand over a new second factor, in the place of any other')
    .argument(...ACCOUNT)
    .action(handOver);
}

async function handOver(wanted: string, options: CommonOptions): Promise<void> {
  const { id, drawn } = await withStore(options, (store) =>
    store.commitGroup.run('hand over a second factor', async ({ accounts, audit }) => {
      const { id, email } = await findAccount(accounts, wanted);
      const drawn = drawEnrolment(email);
      await enrol(accounts, store.vault, id, drawn, true);
      await endAll(accounts, id);
      await audit.append({ actor: 'cli', action: 'account.hand-over-second-factor', subject: id });
      return { id, drawn };
    }),
  );
  const { uri, recoveryCodes } = drawn;
  if (options.json) return printJson({ account: id, totp: { uri, recoveryCodes } });
  print(`Account ${id} has another second factor, and has to log in again.`);
  printEnrolment(drawn);
}

/** To people: a QR code, its URI, and the recovery codes. */
export function printEnrolment({ uri, recoveryCodes }: Enrolment): void {
  print('\nThis is the only time its second factor is shown. Let an authenticator app read it:\n');
  print(renderUnicodeCompact(uri));
  print(`\n${uri}\n\nEach of these stands in for a code once, when the telephone is gone:\n`);
  for (const code of recoveryCodes) print(`  ${code}`);
}
