/**
 * A gateway in another process, as the harness sees it: give it orders, stop it, kill it, or let it kill itself.
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Chance } from '../gateway/chance.ts';
import type { KillPlan } from './statement-hook.ts';

export type Order =
  | {
      readonly kind: 'open';
      readonly folder: string;
      readonly port: number;
      readonly origins: readonly string[];
      /** Whether its endpoints break their word, so that the harness has something to find. */
      readonly isSabotaged?: boolean;
    }
  | { readonly kind: 'consumers'; readonly names: readonly string[] }
  | { readonly kind: 'plan'; readonly plan: KillPlan | undefined }
  /** Milliseconds ahead of this machine's clock. */
  | { readonly kind: 'clock'; readonly offset: number }
  | { readonly kind: 'purge' | 'close' };

interface Reply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

export class GatewayProcess {
  readonly process: ChildProcess;
  /** Resolves when it is gone, and all that it told was read. */
  readonly ended: Promise<unknown>;
  isAlive = true;
  private told = '';
  private readonly waiting = new Map<number, (reply: Reply) => void>();
  private orders = 0;
  private readonly ready: Promise<Reply>;

  /**
   * Begins to load the program, which takes longer than anything else: one is started while another still works.
   * @param limit a line of shell that runs before it, such as `ulimit -f 100`.
   */
  constructor(limit?: string) {
    const child = ['--import', 'tsx', join(import.meta.dirname, 'gateway-child.ts')];
    // The shell sets a limit and then becomes the child, so that the process id stays.
    const [command, given] = limit
      ? ['/bin/sh', ['-c', `${limit}; exec "$0" "$@"`, process.execPath, ...child]]
      : [process.execPath, child];
    this.process = spawn(command, given, {
      cwd: join(import.meta.dirname, '..', '..'),
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    this.ended = once(this.process, 'close').finally(() => {
      this.isAlive = false;
    });
    this.ready = new Promise((resolve) => this.waiting.set(0, resolve));
    this.process.on('message', (reply: Reply) => this.waiting.get(reply.id)?.(reply));
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.told += text;
    });
  }

  /** Before or behind which statement it has killed itself; undefined where it hasn't. */
  get struckAt(): string | undefined {
    return /^killed (.*)$/m.exec(this.told)?.[1];
  }

  /** Rejects where the child answers with a failure, or ends before it answers. */
  async tell<T = undefined>(order: Order): Promise<T> {
    await this.whileAlive(this.ready);
    const id = ++this.orders;
    const { error, result } = await this.whileAlive(
      new Promise<Reply>((resolve) => {
        this.waiting.set(id, resolve);
        this.process.send({ id, ...order });
      }),
    );
    if (error !== undefined) throw new Error(error);
    return result as T;
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.ended;
  }

  private whileAlive<T>(promise: Promise<T>): Promise<T> {
    const ended = this.ended.then(() => Promise.reject(new Error('The gateway ended too early.')));
    return Promise.race([promise, ended]);
  }
}

/**
 * A port that is free now, and below those that the kernel gives to outgoing connections: a client that tries a
 * gateway which is down would else meet itself there once in a while (TCP's simultaneous open), and hold the port.
 */
export async function freePort(chance: Chance): Promise<number> {
  for (;;) {
    const port = 20_000 + chance.below(10_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
