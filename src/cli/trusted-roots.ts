/**
 * Whom a command that calls a gateway over https trusts.
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';
import type { TlsOptions } from '../client/index.ts';
import { CountersignError } from '../errors.ts';
import { trustFile } from '../gateway/tls/gateway-certificate.ts';
import { type CommonOptions, configOf } from './command.ts';

/**
 * Those that everybody trusts, and the root that the credentials or the data folder hold.
 * @param file named by the operator: its roots alone are trusted then.
 */
export function trustedRoots(
  options: CommonOptions,
  { ca, file }: { readonly ca?: string | undefined; readonly file?: string | undefined },
): TlsOptions {
  if (file !== undefined) return { ca: read(file) };
  const own = trustFile(configOf(options).data);
  const roots = ca ?? (existsSync(own) ? read(own) : undefined);
  return roots === undefined ? {} : { ca: [...rootCertificates, roots] };
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CountersignError('request-invalid', `The roots can't be read: ${(error as Error).message}.`);
  }
}
