/**
 * Questions on the terminal, and answers that nobody behind one's back may read.
 * @module
 */
import { createInterface, type Interface } from 'node:readline';
import { Writable } from 'node:stream';
import { CountersignError } from '../errors.ts';

/** What is asked on: standard error, since standard output is for what a command gives. */
export interface Terminal {
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly output: NodeJS.WritableStream;
}

const OURS: Terminal = { input: process.stdin, output: process.stderr };

export class Dialogue {
  private readonly terminal: Terminal;
  private readonly lines: AsyncIterator<string>;
  private readonly reader: Interface;
  private silent = false;

  private constructor(terminal: Terminal) {
    this.terminal = terminal;
    const echo = new Writable({
      write: (chunk, _encoding, done) => {
        if (!this.silent) terminal.output.write(chunk);
        done();
      },
    });
    this.reader = createInterface({ input: terminal.input, output: echo, terminal: true, historySize: 0 });
    // Read as they come, so that what is pasted ahead isn't lost.
    this.lines = this.reader[Symbol.asyncIterator]();
    this.reader.on('SIGINT', () => this.reader.close());
  }

  /**
   * @param missing completes "There is no terminal to ask on: …".
   * @throws account-invalid where there is none.
   */
  static on(missing: string, terminal: Terminal = OURS): Dialogue {
    if (terminal.input.isTTY) return new Dialogue(terminal);
    throw new CountersignError('account-invalid', `There is no terminal to ask on: ${missing}.`);
  }

  async ask(question: string): Promise<string> {
    this.terminal.output.write(question);
    const { value, done } = await this.lines.next();
    if (done) throw new CountersignError('account-invalid', 'The answer was broken off. Nothing was made.');
    return value;
  }

  /** The same, and shows nothing of the answer. */
  async askSecret(question: string): Promise<string> {
    this.silent = true;
    try {
      return await this.ask(question);
    } finally {
      this.silent = false;
      this.terminal.output.write('\n');
    }
  }

  close(): void {
    this.reader.close();
  }
}
