/**
 * `countersign ca export --p12`: a certificate and its key in one file, for Java and Windows.
 * @module
 */
import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import type { Command } from 'commander';
import { CountersignError } from '../../errors.ts';
import { replaceFile } from '../../issuer/folder.ts';
import { toPkcs12 } from '../../issuer/private-key.ts';
import { type CommonOptions, command, print, printJson } from '../command.ts';
import { isoTime } from '../time.ts';
import { readGiven, refuseSpecial } from './given-file.ts';
import { type PassphraseOptions, readPassphrase, withPassphrase } from './passphrase.ts';

interface ExportOptions extends CommonOptions, PassphraseOptions {
  readonly p12: true;
  readonly chain: string;
  readonly key: string;
  readonly out: string;
  readonly name: string;
}

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const MOST_BYTES = 64 * 1024;

export function exportBundle(): Command {
  return withPassphrase(
    command('export', 'write a certificate and its key as PKCS#12, for Java and Windows')
      .requiredOption('--p12', 'the form: PKCS#12')
      .requiredOption('--chain <file>', 'the certificate and its root, as ca issue wrote them')
      .requiredOption('--key <file>', 'its private key, as ca request wrote it')
      .requiredOption('--out <file>', 'where the bundle goes, for its owner alone')
      .option('--name <alias>', 'what Java calls the entry', 'countersign'),
  ).action(run);
}

async function run(options: ExportOptions): Promise<void> {
  const { chain: chainFile, key: keyFile, out, name, json } = options;
  refuseSpecial(out, 'certificate-invalid');
  const chain = readChain(chainFile);
  const key = readKey(keyFile);
  const [leaf] = chain;
  if (!leaf?.checkPrivateKey(key))
    throw invalid(`${keyFile} is not the key of the certificate in ${chainFile}.`);
  const passphrase = await readPassphrase(options, true);
  const bundle = toPkcs12({ key, chain: chain.map(({ raw }) => raw), name, passphrase });
  try {
    replaceFile(out, bundle, 0o600);
  } catch (error) {
    throw invalid(`${out} can't be written: ${(error as Error).message}.`);
  }
  const notAfter = isoTime(Date.parse(leaf.validTo) / 1000);
  if (json) printJson({ out, name, certificates: chain.length, notAfter });
  else print(`The certificate, until ${notAfter}, and its key are in ${out}, under the alias ${name}.`);
}

/** The leaf first, each issued by the next. */
function readChain(file: string): X509Certificate[] {
  const blocks = readGiven(file, MOST_BYTES, 'certificate-invalid').toString('latin1').match(BLOCK) ?? [];
  let chain: X509Certificate[];
  try {
    chain = blocks.map((block) => new X509Certificate(block));
  } catch {
    throw invalid(`${file} holds a certificate that can't be read.`);
  }
  if (chain.length === 0) throw invalid(`${file} holds no certificate in PEM.`);
  const isChain = chain.every((each, i) => {
    const next = chain[i + 1];
    return !next || (each.checkIssued(next) && each.verify(next.publicKey));
  });
  if (!isChain) throw invalid(`The certificates in ${file} are no chain: each must be issued by the next.`);
  return chain;
}

function readKey(file: string): KeyObject {
  const pem = readGiven(file, MOST_BYTES, 'certificate-invalid');
  try {
    const key = createPrivateKey(pem);
    // A key that OpenSSL reads and can't use would come out only in Java.
    createPublicKey(key);
    return key;
  } catch {
    throw invalid(`${file} holds no private key in PEM that is not encrypted.`);
  }
}

function invalid(detail: string): CountersignError {
  return new CountersignError('certificate-invalid', detail);
}
