/**
 * What a new passphrase must be. Why not judge its strength: at 600,000 rounds a guess, length is what counts.
 * @module
 */
import { CountersignError } from '../errors.ts';

const LEAST_CHARACTERS = 16;
/** OpenSSL reads no more than 1,024 bytes, the end included. */
export const MOST_PASSPHRASE_BYTES = 1000;

/** `passphrase-invalid` where it is shorter than 16 characters, or longer than others read. */
export function checkNewPassphrase(passphrase: string): void {
  if ([...passphrase].length < LEAST_CHARACTERS)
    throw badPassphrase(`The passphrase must have ${LEAST_CHARACTERS} characters or more.`);
  if (Buffer.byteLength(passphrase) > MOST_PASSPHRASE_BYTES)
    throw badPassphrase(`The passphrase must have no more than ${MOST_PASSPHRASE_BYTES} bytes.`);
}

export function badPassphrase(detail: string): CountersignError {
  return new CountersignError('passphrase-invalid', detail);
}
