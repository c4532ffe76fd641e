/**
 * `countersign ca init`: the root ceremony. Makes the root and its folder, and prints the fingerprint to write down.
 * @module
 */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { systemClock } from '../../clock.ts';
import { CountersignError } from '../../errors.ts';
import { trustFile } from '../../gateway/tls/gateway-certificate.ts';
import { checkDraft, createAuthority } from '../../issuer/authority.ts';
import { type NameConstraints, readConstraints } from '../../issuer/constraints.ts';
import { colonText } from '../../issuer/fingerprint.ts';
import { createFile } from '../../issuer/folder.ts';
import { ipOctets } from '../../issuer/ip-address.ts';
import { type CommonOptions, command, configOf, print, printJson } from '../command.ts';
import { isoTime } from '../time.ts';
import { type PassphraseOptions, readPassphrase, withPassphrase } from './passphrase.ts';

interface InitOptions extends CommonOptions, PassphraseOptions {
  readonly dir: string;
  readonly name: string;
  readonly permitDns?: string[];
  readonly permitUri?: string[];
  readonly permitIp?: string[];
  readonly days?: number;
}

const DAY = 24 * 3600;
const MOST_DAYS = 3650;

export function init(): Command {
  return withPassphrase(
    command('init', 'make the root, its encrypted key and its folder')
      .requiredOption('--dir <folder>', "the issuer's folder; made where there is none")
      .requiredOption('--name <name>', 'what the root is called, such as "Example Root 1"')
      .option(
        '--permit-dns <domain...>',
        'it may vouch for this domain and what lies below it',
        permit('dns'),
      )
      .option('--permit-uri <host...>', 'it may vouch for spiffe://HOST/… (the host alone)', permit('uri'))
      .option(
        '--permit-ip <cidr...>',
        'it may vouch for addresses of this network; for none by default',
        permit('ip'),
      )
      .option('--days <number>', 'how long it lives (five years)', parseDays),
  ).action(run);
}

const FORMS: Readonly<Record<keyof NameConstraints, string>> = {
  dns: 'Write a domain alone, such as example.org: what lies below it is permitted too.',
  uri: 'Write the host of spiffe://HOST/… alone, such as example.org.',
  ip: 'Write a network, such as 10.1.0.0/16.',
};

/** Checks each value as it is read, so that one in another form is misuse. */
function permit(kind: keyof NameConstraints): (value: string, before?: string[]) => string[] {
  return (value, before = []) => {
    try {
      readConstraints({ dns: [], uri: [], ip: [], [kind]: [value] });
    } catch (error) {
      if (!(error instanceof CountersignError)) throw error;
      const octets = kind === 'ip' ? ipOctets(value) : undefined;
      const form = octets ? `For this address alone write ${value}/${octets.length * 8}.` : FORMS[kind];
      throw new InvalidArgumentError(`${error.message} ${form}`);
    }
    return [...before, value];
  };
}

async function run(options: InitOptions): Promise<void> {
  const { dir, name, permitDns: dns = [], permitUri: uri = [], permitIp: ip = [], days } = options;
  const plan = { dir, name, constraints: { dns, ip, uri }, clock: systemClock };
  // Before anybody types a passphrase, and before there is a root whose fingerprint would go untold.
  checkDraft(plan);
  const { data } = configOf(options);
  const passphrase = await readPassphrase(options, true);
  const lifetime = days === undefined ? {} : { lifetime: days * DAY };
  const made = await createAuthority({ ...plan, passphrase, ...lifetime });
  const { notAfter, constraints, pem } = made;
  const fingerprint = colonText(made.fingerprint);
  const trust = publish(pem, data, options);
  const until = isoTime(notAfter);
  if (options.json) {
    printJson({ dir: resolve(dir), name, fingerprint, notAfter: until, permitted: constraints, trust });
    return;
  }
  print(`The root "${name}" is made, until ${until}, in ${resolve(dir)}.\n`);
  print(`  SHA-256 fingerprint\n  ${fingerprint}\n`);
  print('Write the fingerprint down, and compare it wherever root.pem is installed.');
  print('Keep a copy of the folder, and the passphrase, in two places; neither can be made again.');
  print(trustText(trust));
}

interface Trust {
  readonly file: string;
  /** False where another root lies there, which is never overwritten. */
  readonly written: boolean;
}

/** Puts the public half where a gateway on this machine looks for it. None where no gateway has a data folder here. */
function publish(pem: string, data: string, options: CommonOptions): Trust | null {
  const isMeant = options.data !== undefined || data !== resolve('.countersign') || existsSync(data);
  if (!isMeant) return null;
  const file = trustFile(data);
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    return { file, written: putNew(file, pem) };
  } catch (error) {
    throw new CountersignError(
      'authority-invalid',
      `The root is made, but ${file} can't be written: ${(error as Error).message}. Copy root.pem there by hand.`,
    );
  }
}

/** @returns false where a file lies there already. */
function putNew(file: string, pem: string): boolean {
  try {
    createFile(file, pem, 0o644);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function trustText(trust: Trust | null): string {
  if (!trust) return 'Copy root.pem to tls/trust.pem in the data folder of each gateway.';
  if (trust.written) return `The gateway of this machine finds root.pem in ${trust.file}.`;
  return `${trust.file} holds another root already and was left as it is: add root.pem to it where both are to be trusted.`;
}

function parseDays(text: string): number {
  const days = Number(text);
  if (/^[1-9]\d*$/.test(text) && days <= MOST_DAYS) return days;
  throw new InvalidArgumentError(`It must be a whole number from 1 to ${MOST_DAYS}.`);
}
