/**
 * `countersign ca issue`: a certificate for a request that the operator vouches for (`--csr`), or one pass over the inbox
 * (`--once`).
 * @module
 */
import { type Command, Option } from 'commander';
import { systemClock } from '../../clock.ts';
import { CountersignError } from '../../errors.ts';
import { openAuthority } from '../../issuer/authority.ts';
import { type CertificateRequest, MAX_REQUEST_BYTES, readRequest } from '../../issuer/certificate-request.ts';
import { checkConstraints } from '../../issuer/constraints.ts';
import { colonText } from '../../issuer/fingerprint.ts';
import { replaceFile } from '../../issuer/folder.ts';
import { issueEvent } from '../../issuer/history-rows.ts';
import { issueLeaf, type Leaf } from '../../issuer/leaf.ts';
import { Ledger } from '../../issuer/ledger.ts';
import { Lock, lockOf } from '../../issuer/lock.ts';
import { type CertificateUse, certificateUses, namesText } from '../../issuer/names.ts';
import { type CommonOptions, command, print, printJson } from '../command.ts';
import { isoTime } from '../time.ts';
import { readGiven, refuseSpecial } from './given-file.ts';
import { ACCEPT_CLOCK, issueOnce } from './pass.ts';
import { type PassphraseOptions, readPassphrase, withPassphrase } from './passphrase.ts';

interface IssueOptions extends CommonOptions, PassphraseOptions {
  readonly dir: string;
  readonly acceptClock?: boolean;
}

interface ByHandOptions extends IssueOptions {
  readonly csr: string;
  readonly profile: CertificateUse;
  readonly out: string;
}

interface GivenOptions extends IssueOptions {
  readonly csr?: string;
  readonly profile?: CertificateUse;
  readonly out?: string;
  readonly once?: true;
  readonly inbox?: string;
  readonly outbox?: string;
}

export function issue(): Command {
  return withPassphrase(
    command('issue', 'issue a certificate for one request, or for all that lie in the inbox')
      .requiredOption('--dir <folder>', "the issuer's folder")
      .option('--csr <file>', "a request that you vouch for; the root's own constraints are its profile")
      .addOption(new Option('--profile <use>', 'what the certificate is for').choices(certificateUses))
      .option('--out <file>', 'where the certificate goes, followed by the root')
      .option('--once', 'make one pass over the inbox')
      .option('--inbox <folder>', 'where requests lie: ID.csr, ID.json, ID.sig')
      .option('--outbox <folder>', 'where chains are put: ID.pem')
      .option(...ACCEPT_CLOCK),
  ).action(run);
}

async function run(
  { once, csr, profile, out, inbox, outbox, ...options }: GivenOptions,
  self: Command,
): Promise<void> {
  const isByHand = csr !== undefined && profile !== undefined && out !== undefined;
  const isPass = once === true && inbox !== undefined && outbox !== undefined;
  const isMixed = once ? (csr ?? profile ?? out) !== undefined : (inbox ?? outbox) !== undefined;
  if (isPass && !isMixed) await issueOnce({ ...options, inbox, outbox });
  else if (isByHand && !isMixed) await issueByHand({ ...options, csr, profile, out });
  else self.error('error: give --csr, --profile and --out, or --once, --inbox and --outbox');
}

async function issueByHand(options: ByHandOptions): Promise<void> {
  const { dir, csr, profile: use, out, json } = options;
  refuseSpecial(out, 'certificate-invalid');
  const request = readRequest(readGiven(csr, MAX_REQUEST_BYTES, 'certificate-request-refused'));
  const passphrase = await readPassphrase(options);
  const lock = await Lock.acquire(lockOf(dir));
  try {
    // Under the lock: `ca rotate` may put another root there.
    const authority = openAuthority(dir, passphrase);
    checkConstraints(request.names, authority.constraints);
    const ledger = new Ledger(dir);
    ledger.checkClock(systemClock, options.acceptClock);
    const leaf = await issueLeaf(authority, { ...request, use }, systemClock);
    ledger.append(issueEvent(leaf, { ...request, use }), systemClock);
    deliver(out, leaf);
    if (json) printJson(describe(request, leaf, options));
    else print(`Issued for ${namesText(request.names)}, until ${isoTime(leaf.notAfter)}: ${out}`);
  } finally {
    lock.release();
  }
}

/** After the ledger: what the box gives away, the ledger knows. */
function deliver(out: string, { chainPem, serial }: Leaf): void {
  try {
    replaceFile(out, chainPem, 0o644);
  } catch (error) {
    throw new CountersignError(
      'certificate-invalid',
      `${out} can't be written: ${(error as Error).message}. The certificate ${serial} is in the ledger and nowhere else; issue another.`,
    );
  }
}

function describe({ names }: CertificateRequest, leaf: Leaf, { profile, out }: ByHandOptions) {
  const { serial, notBefore, notAfter } = leaf;
  const fingerprint = colonText(leaf.fingerprint);
  const dates = { notBefore: isoTime(notBefore), notAfter: isoTime(notAfter) };
  return { out, serial, fingerprint, names, use: profile, ...dates };
}
