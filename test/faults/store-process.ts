/**
 * A store in another process, as its parent sees it: ask, kill, end.
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { ErrorCode } from '../../src/errors.ts';
import type { Quota } from '../../src/limits/quotas.ts';
import type { Nonce, NonceVerdict } from '../../src/replay/nonces.ts';

type Request =
  | { readonly kind: 'open' | 'lock'; readonly folder: string }
  | { readonly kind: 'close' | 'unlock' }
  | { readonly kind: 'claim'; readonly nonces: readonly Nonce[] }
  | { readonly kind: 'charge'; readonly quotas: readonly Quota[]; readonly times: number }
  | { readonly kind: 'seal'; readonly record: string; readonly text: string }
  | { readonly kind: 'unseal'; readonly record: string; readonly blob: string }
  | { readonly kind: 'audit'; readonly prefix: string; readonly rows: number }
  | { readonly kind: 'flood'; readonly prefix: string };

export type Order = Request & { readonly id: number };

export interface Failure {
  readonly message: string;
  readonly code: ErrorCode | undefined;
  readonly members: Readonly<Record<string, unknown>> | undefined;
}

export interface Reply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: Failure;
}

export class StoreProcess {
  readonly process: ChildProcess;
  /** What the child has told on its standard output, line by line; a line that a kill cut off is none. */
  readonly lines: string[] = [];
  private readonly waiting = new Map<number, (reply: Reply) => void>();
  private readonly onLine = new Set<() => void>();
  private readonly closed: Promise<unknown>;
  private unfinished = '';
  private orders = 0;

  private constructor(limit: string | undefined) {
    const child = ['--import', 'tsx', join(import.meta.dirname, 'store-child.ts')];
    // The shell sets a limit and then becomes the child, so that the process id stays.
    const [command, given] = limit
      ? ['/bin/sh', ['-c', `${limit}; exec "$0" "$@"`, process.execPath, ...child]]
      : [process.execPath, child];
    this.process = spawn(command, given, {
      cwd: join(import.meta.dirname, '..', '..'),
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
    this.closed = once(this.process, 'close');
    this.process.on('message', (reply: Reply) => this.waiting.get(reply.id)?.(reply));
    const output = this.process.stdout as NonNullable<ChildProcess['stdout']>;
    output.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (this.unfinished + chunk).split('\n');
      this.unfinished = lines.pop() as string;
      this.lines.push(...lines);
      for (const look of this.onLine) look();
    });
  }

  /** @param limit a line of shell that runs before the child, such as `ulimit -f 100`. */
  static async start(limit?: string): Promise<StoreProcess> {
    const child = new StoreProcess(limit);
    onTestFinished(() => child.kill());
    await child.whileAlive(new Promise<Reply>((resolve) => child.waiting.set(0, resolve)));
    return child;
  }

  /** Fails where the child ends by itself, instead of waiting for ever. */
  private whileAlive<T>(promise: Promise<T>): Promise<T> {
    const ended = this.closed.then(() => Promise.reject(new Error('The process ended too early.')));
    return Promise.race([promise, ended]);
  }

  /** What the child answers, be it a failure. */
  ask(request: Request): Promise<Reply> {
    const id = ++this.orders;
    return this.whileAlive(
      new Promise((resolve) => {
        this.waiting.set(id, resolve);
        this.process.send({ id, ...request });
      }),
    );
  }

  /** Rejects where the child answers with a failure. */
  async tell(request: Request): Promise<unknown> {
    const { error, result } = await this.ask(request);
    if (error) throw new Error(error.message, { cause: error });
    return result;
  }

  claim(nonces: readonly Nonce[]): Promise<NonceVerdict[]> {
    return this.tell({ kind: 'claim', nonces }) as Promise<NonceVerdict[]>;
  }

  /** Waits until the child has told this many lines. */
  told(count: number): Promise<void> {
    const enough = new Promise<void>((resolve) => {
      const look = (): void => {
        if (this.lines.length < count) return;
        this.onLine.delete(look);
        resolve();
      };
      this.onLine.add(look);
      look();
    });
    return this.whileAlive(enough);
  }

  /** SIGKILL; resolves when the process is gone and all that it told was read. */
  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.closed;
  }
}
