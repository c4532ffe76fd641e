/**
 * A passphrase from a file, a descriptor or the terminal; never from an argument, which every process can read.
 * @module
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { CountersignError } from '../../errors.ts';
import { checkNewPassphrase } from '../../issuer/passphrase.ts';
import { Dialogue, type Terminal } from '../dialogue.ts';

export interface PassphraseOptions {
  readonly passphraseFile?: string;
  readonly passphraseFd?: number;
}

/** A passphrase has 1,000 bytes at most; a file without a line end isn't read any further. */
const MOST_READ = 4096;

export function withPassphrase(command: Command): Command {
  return command
    .option(
      '--passphrase-file <file>',
      'its first line is the passphrase; asked on the terminal where absent',
    )
    .addOption(
      new Option('--passphrase-fd <number>', 'the same from an open descriptor')
        .argParser(parseDescriptor)
        .conflicts('passphraseFile'),
    );
}

/**
 * @param isNew asks twice, and demands 16 characters.
 * `passphrase-invalid` says what is wrong with it, or where it might come from.
 */
export async function readPassphrase(
  options: PassphraseOptions,
  isNew = false,
  terminal?: Terminal,
): Promise<string> {
  const given = options.passphraseFile ?? options.passphraseFd;
  const passphrase = given === undefined ? await askFor(isNew, terminal) : firstLine(given);
  if (passphrase === '') throw invalid('The passphrase is empty.');
  if (isNew) checkNewPassphrase(passphrase);
  return passphrase;
}

function parseDescriptor(text: string): number {
  if (!/^(?:0|[3-9]|[1-9]\d{1,5})$/.test(text))
    throw new InvalidArgumentError('It must be 0, or 3 and above.');
  return Number(text);
}

/** Ends at the first line end, so that a file that an editor or `echo` wrote serves as well as one that `printf` did. */
function firstLine(given: string | number): string {
  const name = typeof given === 'number' ? `descriptor ${given}` : given;
  let descriptor: number | undefined;
  try {
    descriptor = typeof given === 'number' ? given : openSync(given, 'r');
    return decode(readLine(descriptor), name);
  } catch (error) {
    if (error instanceof CountersignError) throw error;
    throw invalid(`The passphrase can't be read from ${name}: ${(error as Error).message}.`);
  } finally {
    if (descriptor !== undefined && typeof given === 'string') closeSync(descriptor);
  }
}

function readLine(descriptor: number): Buffer {
  const bytes = Buffer.alloc(MOST_READ);
  let length = 0;
  while (length < MOST_READ && !bytes.subarray(0, length).includes(10)) {
    const count = readSync(descriptor, bytes, length, MOST_READ - length, null);
    if (count === 0) break;
    length += count;
  }
  const end = bytes.subarray(0, length).indexOf(10);
  return bytes.subarray(0, end < 0 ? length : end);
}

function decode(bytes: Buffer, name: string): string {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes).replace(/\r$/, '');
    if (!/\p{Cc}/u.test(text)) return text;
  } catch {
    // Told like a control character: neither can be typed.
  }
  throw invalid(`The first line of ${name} is not text, and so no passphrase.`);
}

async function askFor(isNew: boolean, terminal?: Terminal): Promise<string> {
  const missing = 'give --passphrase-file or --passphrase-fd';
  const dialogue = Dialogue.on(missing, 'passphrase-invalid', terminal);
  try {
    const question = isNew ? 'New passphrase (16 characters or more): ' : 'Passphrase: ';
    const first = await dialogue.askSecret(question);
    // Before it is typed again.
    if (isNew) checkNewPassphrase(first);
    if (isNew && (await dialogue.askSecret('The same again: ')) !== first)
      throw invalid('The two passphrases differ. Nothing was made.');
    return first;
  } finally {
    dialogue.close();
  }
}

function invalid(detail: string): CountersignError {
  return new CountersignError('passphrase-invalid', detail);
}
