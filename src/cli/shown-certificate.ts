/**
 * The client certificate that `call` shows over TLS: a chain and its key, from the two files that the caller names.
 * @module
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { CountersignError } from '../errors.ts';

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/**
 * In PEM, both; in `cert` the leaf comes first.
 * @throws `certificate-invalid` where one can't be read, or the key isn't the leaf's: TLS would tell neither by name.
 */
export function readShownCertificate({ cert, key }: CertificateFiles): CertificateFiles {
  const [chain, keyText] = [read(cert), read(key)];
  if (!parsed(cert, chain).checkPrivateKey(parsedKey(key, keyText))) {
    throw invalid(`${key} is not the key of the first certificate in ${cert}; name the two of one pair`);
  }
  return { cert: chain, key: keyText };
}

function parsed(file: string, text: string): X509Certificate {
  try {
    return new X509Certificate(text);
  } catch (error) {
    throw invalid(`${file} holds no certificate in PEM`, error);
  }
}

function parsedKey(file: string, text: string): KeyObject {
  try {
    return createPrivateKey(text);
  } catch (error) {
    throw invalid(`${file} holds no private key in PEM that can be read without a passphrase`, error);
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw invalid(`${file} can't be read: ${(error as Error).message}`, error);
  }
}

function invalid(detail: string, cause?: unknown): CountersignError {
  return new CountersignError('certificate-invalid', `${detail}.`, { cause });
}
