/**
 * A passphrase from a file, a descriptor or the terminal; never from an argument, which every process can read.
 * @module
 */
import type { Command } from 'commander';

export interface PassphraseOptions {
  readonly passphraseFile?: string;
  readonly passphraseFd?: number;
}

export function withPassphrase(command: Command): Command {
  return command
    .option('--passphrase-file <file>', 'its first line is the passphrase')
    .option('--passphrase-fd <number>', 'the same from an open descriptor');
}

/**
 * @param isNew asks twice, and demands 16 characters.
 * `passphrase-invalid` says what is wrong with it, or where it might come from.
 */
export async function readPassphrase(_options: PassphraseOptions, _isNew = false): Promise<string> {
  throw new Error('being built');
}
