/**
 * Questions on the terminal, and answers that nobody behind one's back may read. Keys are read one by one while nothing
 * else shows them, so that what is pasted ahead of a secret's question is shown no more than the secret, and of what was
 * typed no history is kept.
 * @module
 */
import { CountersignError, type ErrorCode } from '../errors.ts';

/** What is asked on: standard error, since standard output is for what a command gives. */
export interface Terminal {
  readonly input: Pick<NodeJS.ReadableStream, 'on' | 'off' | 'pause' | 'resume'> & {
    readonly isTTY?: boolean;
    setRawMode?(isRaw: boolean): unknown;
  };
  readonly output: { write(text: string): unknown };
}

const ESCAPE = '\x1b';

/** One key: an arrow and its like are several characters. */
const KEY = new RegExp(`^(?:${ESCAPE}(?:\\[[0-9;]*[@-~]|O.|.)?|.)`, 'su');

export class Dialogue {
  private readonly terminal: Terminal;
  private readonly code: ErrorCode;
  /** What was typed or pasted beyond the line that was asked for. */
  private ahead = '';

  private constructor(terminal: Terminal, code: ErrorCode) {
    this.terminal = terminal;
    this.code = code;
    terminal.input.setRawMode?.(true);
  }

  /**
   * @param missing completes "There is no terminal to ask on: …".
   * @param code of what is thrown where there is none, or an answer is broken off.
   */
  static on(missing: string, code: ErrorCode, terminal = ours()): Dialogue {
    if (terminal.input.isTTY) return new Dialogue(terminal, code);
    throw new CountersignError(code, `There is no terminal to ask on: ${missing}.`);
  }

  /** Shows what is typed; a key that is no letter does nothing. */
  ask(question: string): Promise<string> {
    return this.line(question, false);
  }

  /** Shows nothing of the answer. A key that is no letter breaks it off: nobody would see what it has done. */
  askSecret(question: string): Promise<string> {
    return this.line(question, true);
  }

  /** Gives the terminal back. */
  close(): void {
    this.terminal.input.setRawMode?.(false);
  }

  private async line(question: string, isSecret: boolean): Promise<string> {
    const { output } = this.terminal;
    const typed: string[] = [];
    output.write(question);
    try {
      for (;;) {
        const key = await this.key();
        if (key === '\r' || key === '\n') return typed.join('');
        if (key === '\x03' || key === '\x04') throw this.brokenOff('The answer was broken off.');
        const isErased = key === '\x7f' || key === '\b' || key === '\x15';
        if (key === '\x15') typed.length = 0;
        else if (isErased) typed.pop();
        else if (!/\p{Cc}/u.test(key)) typed.push(key);
        else if (isSecret) throw this.brokenOff('That key is no part of an answer.');
        else continue;
        if (!isSecret) output.write(isErased ? `\r${ESCAPE}[K${question}${typed.join('')}` : key);
      }
    } finally {
      output.write('\n');
    }
  }

  private async key(): Promise<string> {
    if (this.ahead === '') this.ahead = await this.more();
    const [key = ''] = KEY.exec(this.ahead) ?? [];
    this.ahead = this.ahead.slice(key.length);
    return key;
  }

  private more(): Promise<string> {
    const { input } = this.terminal;
    return new Promise((resolve, reject) => {
      const settle = (chunk?: Buffer) => {
        input.off('data', settle).off('end', settle);
        input.pause();
        if (chunk) resolve(chunk.toString('utf8'));
        else reject(this.brokenOff('The answer was broken off.'));
      };
      input.on('data', settle).on('end', settle);
      input.resume();
    });
  }

  private brokenOff(why: string): CountersignError {
    return new CountersignError(this.code, `${why} Nothing was made.`);
  }
}

/** Not before it is asked for: a pipe on standard input that Node has opened can't be waited for by who reads it at once. */
function ours(): Terminal {
  return { input: process.stdin, output: process.stderr };
}
