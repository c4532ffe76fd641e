/**
 * `countersign ca rotate`: from one root to the next, a step each time it is called: begin, switch once every requester
 * has acknowledged both roots, end once the old root's last leaf has ended.
 * @module
 */
import type { Command } from 'commander';
import { systemClock } from '../../clock.ts';
import { colonText } from '../../issuer/fingerprint.ts';
import { type Rotation, rotate as takeStep } from '../../issuer/rotation.ts';
import { type CommonOptions, command, print, printJson } from '../command.ts';
import { isoTime, parseDuration } from '../time.ts';
import { ACCEPT_CLOCK } from './pass.ts';
import { type PassphraseOptions, readPassphrase, withPassphrase } from './passphrase.ts';

interface RotateOptions extends CommonOptions, PassphraseOptions {
  readonly dir: string;
  readonly without?: readonly string[];
  /** Seconds. */
  readonly lifetime?: number;
  readonly acceptClock?: boolean;
}

export function rotate(): Command {
  return withPassphrase(
    command('rotate', 'make the next root, or take the next step of a change that has begun')
      .requiredOption('--dir <folder>', "the issuer's folder")
      .option('--without <requester...>', 'switch though these have not acknowledged the next root')
      .option('--lifetime <duration>', 'of the next root: 1825d', parseDuration)
      .option(...ACCEPT_CLOCK),
  ).action(run);
}

async function run(options: RotateOptions): Promise<void> {
  const { dir, without = [], lifetime, acceptClock } = options;
  const passphrase = await readPassphrase(options);
  const rotation = await takeStep({ dir, passphrase, without, lifetime, acceptClock, clock: systemClock });
  if (options.json) printJson(jsonOf(rotation));
  else for (const line of linesOf(rotation)) print(line);
}

function jsonOf({ issuing, other, endsAt, ...rest }: Rotation) {
  return {
    ...rest,
    issuing: colonText(issuing),
    ...(other !== undefined && { other: colonText(other) }),
    ...(endsAt !== undefined && { endsAt: isoTime(endsAt) }),
  };
}

function linesOf({ done, issuing, other, missing, endsAt }: Rotation): string[] {
  const until = endsAt === undefined ? '' : isoTime(endsAt);
  if (done === 'begun') {
    return [
      `The next root is made: ${colonText(other ?? '')}`,
      'The next pass puts the trust bundle with both roots into the outbox; the old root goes on issuing.',
      'Carry it to every requester, and back what each puts into its inbox: its acknowledgement.',
      'Keep a copy of the folder. When every requester has acknowledged, run this again.',
    ];
  }
  if (done === 'switched') {
    return [
      `${colonText(issuing)} issues from now on.`,
      `Run this again after ${until}, to end the old root.`,
    ];
  }
  if (done === 'ended') return [`The old root is gone; ${colonText(issuing)} is the only one.`];
  if (missing.length > 0) {
    return [
      `Not acknowledged yet by ${missing.join(', ')}: carry trust-bundle.json to them, and their .ack back.`,
      'To go on without one, which then trusts no new certificate: --without NAME',
    ];
  }
  return [`The last leaf of the old root ends at ${until}; run this again then.`];
}
