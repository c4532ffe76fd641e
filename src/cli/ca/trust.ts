/**
 * `countersign ca trust`: the roots that callers are to trust, as PEM, as fingerprints, or as a recipe for their machines.
 * @module
 */
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { CountersignError } from '../../errors.ts';
import { trustFile } from '../../gateway/tls/gateway-certificate.ts';
import { trustedRoots } from '../../issuer/rotation.ts';
import { type CommonOptions, command, configOf, print, printJson } from '../command.ts';
import { isoTime } from '../time.ts';
import { readGiven } from './given-file.ts';

interface TrustOptions extends CommonOptions {
  readonly dir?: string;
  readonly fingerprint?: true;
  readonly recipe?: true;
}

interface Root {
  readonly subject: string;
  /** SHA-256 of its DER: `3F:A4:…`. */
  readonly fingerprint: string;
  readonly notAfter: string;
  readonly pem: string;
}

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const MOST_BYTES = 1024 * 1024;

export function trust(): Command {
  return command('trust', 'print the roots to trust, in PEM')
    .option('--dir <folder>', "the issuer's folder; where absent, what the gateway of the data folder trusts")
    .option('--fingerprint', 'their SHA-256 fingerprints instead')
    .option('--recipe', 'how to install them on a machine instead')
    .action(run);
}

function run(options: TrustOptions): void {
  const roots =
    options.dir === undefined
      ? rootsOfGateway(options)
      : trustedRoots(options.dir).map(({ pem }) => rootOf(pem));
  const pem = roots.map((root) => root.pem).join('');
  if (options.json) {
    printJson({ pem, roots: roots.map(({ pem: _, ...rest }) => rest), recipe: recipeFor(roots, options) });
  } else if (options.fingerprint) {
    for (const { fingerprint, subject, notAfter } of roots)
      print(`${fingerprint}  ${subject}, until ${notAfter}`);
  } else if (options.recipe) for (const line of recipeFor(roots, options)) print(line);
  else process.stdout.write(pem);
}

function rootsOfGateway(options: TrustOptions): Root[] {
  const file = trustFile(configOf(options).data);
  if (!existsSync(file)) {
    throw new CountersignError(
      'trust-bundle-invalid',
      `There is no ${file}: name the issuer's folder with --dir, or put its root.pem there.`,
    );
  }
  const blocks = readGiven(file, MOST_BYTES, 'trust-bundle-invalid').toString('latin1').match(BLOCK) ?? [];
  try {
    if (blocks.length > 0) return blocks.map(rootOf);
  } catch {
    // Told like a file without any.
  }
  throw new CountersignError('trust-bundle-invalid', `${file} holds no whole certificates in PEM.`);
}

function rootOf(block: string): Root {
  const certificate = new X509Certificate(block);
  return {
    subject: certificate.subject.replaceAll('\n', ', '),
    fingerprint: certificate.fingerprint256,
    notAfter: isoTime(Date.parse(certificate.validTo) / 1000),
    pem: `${certificate.toString().trim()}\n`,
  };
}

/** One file a root: update-ca-certificates leaves out a file that holds two. */
function recipeFor(roots: readonly Root[], { dir, data }: TrustOptions): string[] {
  const where =
    dir === undefined ? (data === undefined ? '' : ` --data ${quoted(data)}`) : ` --dir ${quoted(dir)}`;
  const prefix = 'countersign-root-';
  return [
    '# Compare first, with what ca init printed:',
    ...roots.map(({ fingerprint }) => `#   ${fingerprint}`),
    '# Debian, Ubuntu, Alpine:',
    `npx --no countersign ca trust${where} > countersign-roots.pem`,
    `csplit -sz -f ${prefix} -b '%d.crt' countersign-roots.pem '/BEGIN CERTIFICATE/' '{*}'`,
    `sudo cp ${prefix}*.crt /usr/local/share/ca-certificates/`,
    'sudo update-ca-certificates',
    '# Node reads no system store of its own accord:',
    'export NODE_EXTRA_CA_CERTS="$PWD/countersign-roots.pem"',
  ];
}

function quoted(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
