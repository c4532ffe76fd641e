/**
 * A passphrase from a file, a descriptor or the terminal; never from an argument, which every process can read.
 * @module
 */
import { once } from 'node:events';
import { closeSync, openSync, readSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { CountersignError } from '../../errors.ts';
import { checkNewPassphrase } from '../../issuer/passphrase.ts';

export interface PassphraseOptions {
  readonly passphraseFile?: string;
  readonly passphraseFd?: number;
}

/** What is asked on: standard input and standard error, since standard output is for what a command gives. */
export interface Terminal {
  readonly input: Pick<
    NodeJS.ReadStream,
    'isTTY' | 'setRawMode' | 'pause' | 'resume' | 'on' | 'once' | 'off'
  >;
  readonly output: { write(text: string): unknown };
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
  terminal: Terminal = { input: process.stdin, output: process.stderr },
): Promise<string> {
  const given = options.passphraseFile ?? options.passphraseFd;
  const passphrase = given === undefined ? await askFor(terminal, isNew) : firstLine(given);
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

async function askFor(terminal: Terminal, isNew: boolean): Promise<string> {
  if (!terminal.input.isTTY) {
    throw invalid(
      'There is no terminal to ask for the passphrase on: give --passphrase-file or --passphrase-fd.',
    );
  }
  const keys = new Keys(terminal);
  const first = await keys.ask(isNew ? 'New passphrase (16 characters or more): ' : 'Passphrase: ');
  // Before it is typed again.
  if (isNew) checkNewPassphrase(first);
  if (isNew && (await keys.ask('The same again: ')) !== first)
    throw invalid('The two passphrases differ. Nothing was made.');
  return first;
}

/** Reads lines from a terminal and shows nothing of them. */
class Keys {
  private readonly terminal: Terminal;
  /** What was typed or pasted beyond the line that was asked for. */
  private ahead = '';

  constructor(terminal: Terminal) {
    this.terminal = terminal;
  }

  async ask(question: string): Promise<string> {
    const { input, output } = this.terminal;
    input.setRawMode(true);
    output.write(question);
    try {
      return await this.line();
    } finally {
      input.setRawMode(false);
      input.pause();
      output.write('\n');
    }
  }

  private async line(): Promise<string> {
    const typed: string[] = [];
    for (;;) {
      const [key = '', ...rest] = this.ahead === '' ? await this.more() : this.ahead;
      this.ahead = rest.join('');
      if (key === '\r' || key === '\n') return typed.join('');
      if (key === '\x7f' || key === '\b') typed.pop();
      else if (key === '\x15') typed.length = 0;
      else if (key === '\x03' || key === '\x04') throw invalid('No passphrase was given. Nothing was made.');
      else if (/\p{Cc}/u.test(key)) throw invalid('That key is no part of a passphrase. Nothing was made.');
      else typed.push(key);
    }
  }

  private async more(): Promise<string> {
    const { input } = this.terminal;
    const chunk = once(input as NodeJS.ReadStream, 'data');
    input.resume();
    const [bytes] = await chunk;
    input.pause();
    return Buffer.from(bytes).toString('utf8');
  }
}

function invalid(detail: string): CountersignError {
  return new CountersignError('passphrase-invalid', detail);
}
