/**
 * Credentials: what `consumer add --out FILE` wrote, and what `signedFetch` takes.
 * @module
 */
import type { KeyObject } from 'node:crypto';
import { open } from 'node:fs/promises';
import { CountersignError } from '../errors.ts';
import { secretKey } from '../signatures/hmac.ts';

export interface Credentials {
  readonly keyid: string;
  /** Base64, as it was issued, or bytes; at least 32 of them. */
  readonly secret: string | Uint8Array;
  /** Where the gateway is. Relative inputs such as `/v1/echo` are resolved against it. */
  readonly url?: string | undefined;
  /** The roots that vouch for the gateway at `url`, in PEM, where it isn't known to everybody. */
  readonly ca?: string | undefined;
}

/** Credentials that have been checked. The secret is held so that printing this object doesn't show it. */
export interface SigningKey {
  readonly keyid: string;
  readonly secret: KeyObject;
  readonly url: URL | undefined;
}

const KEYID = /^[\x20-\x7e]{1,128}$/;
/** A file this long is not one of credentials. */
const MOST_FILE = 64 * 1024;

/** @throws `credentials-invalid`, which never shows the secret. */
export function signingKey({ keyid, secret, url }: Credentials): SigningKey {
  if (typeof keyid !== 'string' || !KEYID.test(keyid)) {
    throw invalid('"keyid" must be a string of 1 to 128 printable ASCII characters');
  }
  if (typeof secret !== 'string' && !(secret instanceof Uint8Array)) {
    throw invalid('"secret" must be a string of base64, or bytes');
  }
  return { keyid, secret: secretKey(secret), url: url === undefined ? undefined : gatewayUrl(url) };
}

function gatewayUrl(text: unknown): URL {
  const url = typeof text === 'string' && URL.canParse(text) ? new URL(text) : undefined;
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw invalid('"url" must be an http or https URL');
  }
  return url;
}

/**
 * Reads the text of a credentials file: a JSON object with `keyid`, `secret` (base64) and perhaps `url` and `ca`. Other members
 * are let be, so that what `consumer add --json` printed can be pasted.
 * @throws `credentials-invalid`
 */
export function readCredentials(text: string): Credentials & { readonly secret: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, and the text holds a secret.
    throw invalid('they are not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid('they are not a JSON object with "keyid" and "secret"');
  }
  const { keyid, secret, url, ca } = value as Partial<Record<string, unknown>>;
  if (typeof keyid !== 'string') throw invalid('"keyid" is missing, or not a string');
  if (typeof secret !== 'string') throw invalid('"secret" is missing, or not a string');
  if (url !== undefined && typeof url !== 'string') throw invalid('"url" is not a string');
  if (ca !== undefined && typeof ca !== 'string') throw invalid('"ca" is not a string');
  signingKey({ keyid, secret, url });
  return { keyid, secret, ...(url !== undefined && { url }), ...(ca !== undefined && { ca }) };
}

/**
 * Reads a credentials file. One that others than its owner may read is used all the same, with a process warning
 * (`COUNTERSIGN_CREDENTIALS_MODE`): in containers secrets are often mounted so.
 * @throws `credentials-invalid`
 */
export async function readCredentialsFile(path: string): Promise<Credentials & { readonly secret: string }> {
  let text: string;
  try {
    const file = await open(path, 'r');
    try {
      const { mode, size } = await file.stat();
      if (size > MOST_FILE) throw invalid(`they are longer than ${MOST_FILE} bytes`);
      text = await file.readFile('utf8');
      if (process.platform !== 'win32' && (mode & 0o077) !== 0) warnOfMode(path, mode);
    } finally {
      await file.close();
    }
  } catch (error) {
    const why = error instanceof CountersignError ? error.message : `${(error as Error).message}.`;
    throw new CountersignError('credentials-invalid', `The credentials file ${path} can't be read. ${why}`, {
      cause: error,
    });
  }
  try {
    return readCredentials(text);
  } catch (error) {
    throw new CountersignError('credentials-invalid', `In ${path}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function warnOfMode(path: string, mode: number): void {
  process.emitWarning(
    `The credentials file ${path} has mode 0${(mode & 0o777).toString(8)}: others than its owner may use the secret in it. Run chmod 600.`,
    { type: 'CountersignWarning', code: 'COUNTERSIGN_CREDENTIALS_MODE' },
  );
}

function invalid(why: string): CountersignError {
  return new CountersignError('credentials-invalid', `The credentials can't be used: ${why}.`);
}
