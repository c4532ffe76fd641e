/**
 * `countersign ca request`: a new key and a certificate request for it, on the machine that will use them.
 * @module
 */
import { rmSync } from 'node:fs';
import type { Command } from 'commander';
import { certificateRequest, newCertificateKey } from '../../client/certificate/certificate-request.ts';
import { CountersignError } from '../../errors.ts';
import { createFile } from '../../issuer/folder.ts';
import { countOf, namesText, readNames, refused } from '../../issuer/names.ts';
import { type CommonOptions, command, print, printJson } from '../command.ts';
import { collect } from '../issued-key.ts';

interface RequestOptions extends CommonOptions {
  readonly dns?: string[];
  readonly ip?: string[];
  readonly uri?: string[];
  readonly out: string;
  readonly keyOut: string;
}

export function request(): Command {
  return command('request', 'make a key and a certificate request; the key stays here')
    .option('--dns <name...>', 'a DNS name', collect)
    .option('--ip <address...>', 'an IP address', collect)
    .option('--uri <name...>', 'a name such as spiffe://example.org/shop', collect)
    .requiredOption('--out <file>', 'where the request goes; carry it to the issuer')
    .requiredOption('--key-out <file>', 'where the private key goes, for its owner alone')
    .action(run);
}

function run({ dns = [], ip = [], uri = [], out, keyOut, json }: RequestOptions): void {
  const names = readNames({ dns, ip, uri });
  if (countOf(names) === 0) throw refused('It names nobody: give --dns, --ip or --uri.');
  const key = newCertificateKey();
  const pem = certificateRequest(key, names);
  putNew(keyOut, key.export({ format: 'pem', type: 'pkcs8' }).toString(), 0o600);
  try {
    putNew(out, pem, 0o644);
  } catch (error) {
    rmSync(keyOut, { force: true });
    throw error;
  }
  if (json) printJson({ request: out, key: keyOut, names });
  else print(`The request for ${namesText(names)} is in ${out}. Its key is in ${keyOut}, and stays here.`);
}

function putNew(file: string, content: string, mode: number): void {
  try {
    createFile(file, content, mode);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'EEXIST' ? 'it exists already' : message;
    throw new CountersignError('request-invalid', `${file} can't be written: ${why}. Nothing was made.`);
  }
}
