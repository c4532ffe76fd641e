/**
 * The credentials that a command signs with: those that are named, or else the demo consumer's.
 * @module
 */
import { type Credentials, readCredentialsFile } from '../client/credentials.ts';
import { credentialsFile } from '../config/config.ts';
import { demoFile } from '../consumers/demo.ts';
import { CountersignError } from '../errors.ts';
import { type CommonOptions, configOf } from './command.ts';

/** @throws credentials-invalid */
export async function readGivenCredentials(
  options: CommonOptions & { readonly credentials?: string },
): Promise<Credentials & { readonly secret: string }> {
  const named = options.credentials ?? credentialsFile();
  if (named !== undefined) return readCredentialsFile(named);
  const file = demoFile(configOf(options).data);
  try {
    return await readCredentialsFile(file);
  } catch (error) {
    if (!isAbsence(error)) throw error;
    throw new CountersignError(
      'credentials-invalid',
      `There is no ${file}: name the gateway's data folder (--data, COUNTERSIGN_DATA), or a credentials file (--credentials).`,
      { cause: error },
    );
  }
}

function isAbsence(error: unknown): boolean {
  const { cause } = error as { readonly cause?: { readonly code?: unknown } };
  return cause?.code === 'ENOENT';
}
