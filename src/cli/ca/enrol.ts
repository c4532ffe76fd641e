/**
 * `countersign ca enrol NAME --key PUB.pem`: on the issuer's box, let a requester ask for certificates for 30 days.
 * @module
 */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { epochSeconds, systemClock } from '../../clock.ts';
import { CountersignError } from '../../errors.ts';
import { readAuthority } from '../../issuer/authority.ts';
import { colonText } from '../../issuer/fingerprint.ts';
import { PROFILE_FILE, readProfile } from '../../issuer/profile.ts';
import { enrol as enrolRequester, findRequester, requesterNames } from '../../issuer/requesters.ts';
import { type CommonOptions, command, print, printJson, printTable } from '../command.ts';
import { isoTime } from '../time.ts';
import { ACCEPT_CLOCK } from './pass.ts';

interface EnrolOptions extends CommonOptions {
  readonly dir: string;
  readonly key?: string;
  readonly list?: true;
  readonly replace?: true;
  readonly acceptClock?: true;
}

export function enrol(): Command {
  return command('enrol', 'let a requester ask for certificates, for 30 days; again to renew')
    .argument('[name]', 'as in profile.yaml')
    .requiredOption('--dir <folder>', "the issuer's folder")
    .option('--key <file>', 'the public half of its request key (Ed25519, PEM)')
    .option('--replace', 'put it in the place of a key that is still approved')
    .option('--list', 'show who is enrolled, and until when')
    .option(...ACCEPT_CLOCK)
    .action(run);
}

async function run(name: string | undefined, options: EnrolOptions, self: Command): Promise<void> {
  if (options.list) {
    list(options);
    return;
  }
  if (name === undefined || options.key === undefined) self.error('error: name a requester and its --key');
  // Says what is wrong with a folder that isn't an issuer's, before anything is made in it.
  readAuthority(options.dir);
  const { requester, change } = await enrolRequester({
    folder: options.dir,
    name,
    publicKey: readKeyFile(options.key),
    replace: options.replace ?? false,
    clock: systemClock,
    acceptClock: options.acceptClock,
  });
  const requestKey = colonText(requester.fingerprint);
  const lapses = isoTime(requester.lapses);
  if (options.json) printJson({ requester: name, requestKey, change, lapses });
  else {
    print(`${name} is ${change}, until ${lapses}.`);
    print(`Its request key is ${requestKey}; see that the requester names the same.`);
    if (!isGranted(options.dir, name)) {
      print(
        `${PROFILE_FILE} has nothing for ${name} yet: write there what it may have, before its request comes.`,
      );
    }
  }
}

/** False also where the profile can't be read, which the next pass tells in full. */
function isGranted(dir: string, name: string): boolean {
  try {
    return readProfile(dir).requesters.has(name);
  } catch {
    return false;
  }
}

function list({ dir, json }: EnrolOptions): void {
  readAuthority(dir);
  const now = epochSeconds(systemClock);
  const rows = requesterNames(dir).map((name) => {
    const { fingerprint, lapses } = findRequester(dir, name);
    return {
      requester: name,
      status: lapses > now ? 'approved' : 'lapsed',
      lapses: isoTime(lapses),
      requestKey: colonText(fingerprint),
    };
  });
  if (json) printJson(rows);
  else {
    printTable(
      ['REQUESTER', 'STATUS', 'LAPSES', 'REQUEST KEY'],
      rows.map(({ requester, status, lapses, requestKey }) => [requester, status, lapses, requestKey]),
    );
  }
}

function readKeyFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CountersignError(
      'requester-unknown',
      `${file} can't be read: ${(error as Error).message}. It is the requester's request.pub.pem.`,
    );
  }
}
