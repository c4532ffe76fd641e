/**
 * A gateway in a process of its own, sixteen clients that call it, and their books.
 * @module
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CountersignError } from '../../src/errors.ts';
import { Chance } from '../gateway/chance.ts';
import { Books, type Verdict } from './books.ts';
import { Caller } from './caller.ts';
import { freePort, GatewayProcess } from './gateway-process.ts';
import { readLedger } from './ledger.ts';

export const CLIENTS = 16;

export interface SceneOptions {
  readonly seed: number;
  readonly isSabotaged?: boolean;
  /** Milliseconds that one try of a client may take. */
  readonly patience?: number;
  /** Whether the gateway's clock is set during calls. */
  readonly clockSteps?: boolean;
  /** A line of shell that runs before the gateway, such as `ulimit -f 100`. */
  readonly limit?: string;
}

export class Scene {
  readonly books: Books;
  readonly folder: string;
  callers: readonly Caller[] = [];
  gateway: GatewayProcess;
  private readonly options: SceneOptions;
  private readonly port: number;
  private ready: Promise<void> = Promise.resolve();
  private readonly watchers = new Set<(event: 'answer' | CountersignError) => void>();

  private constructor(options: SceneOptions, port: number) {
    this.options = options;
    this.books = new Books(options.clockSteps);
    this.port = port;
    this.gateway = new GatewayProcess(options.limit);
    this.folder = join(mkdtempSync(join(tmpdir(), 'countersign-faults-')), 'data');
    mkdirSync(this.folder, { mode: 0o700 });
  }

  static async start(options: SceneOptions): Promise<Scene> {
    const scene = new Scene(options, await freePort(new Chance(options.seed ^ process.pid)));
    try {
      await scene.open();
      const names = Array.from({ length: CLIENTS }, (_, i) => `client-${i}`);
      const keys = await scene.gateway.tell<{ keyid: string; secret: string }[]>({
        kind: 'consumers',
        names,
      });
      scene.callers = keys.map((credentials, i) => scene.caller(names[i] as string, credentials, i));
      return scene;
    } catch (error) {
      await scene.end();
      throw error;
    }
  }

  /** All clients call, one call after the other. @returns what ends that, and waits until each has its answer. */
  load(): () => Promise<void> {
    let isOver = false;
    const calls = this.callers.map(async (caller) => {
      while (!isOver) await caller.call();
    });
    return async () => {
      isOver = true;
      await Promise.all(calls);
    };
  }

  /** Each client asks again for some of what it was answered since the last time. */
  async askAgain(most: number): Promise<void> {
    await Promise.all(this.callers.map((caller) => caller.askAgain(most)));
  }

  /** Resolves when so many more answers have come. */
  answered(count: number): Promise<void> {
    return this.watch(count, (event) => event === 'answer');
  }

  /** Resolves when so many more tries have failed with this code. */
  missed(count: number, code: CountersignError['code']): Promise<void> {
    return this.watch(count, (event) => event !== 'answer' && event.code === code);
  }

  /** Another process in the place of the one that is gone; the clients wait for it. */
  async reopen(next = new GatewayProcess()): Promise<void> {
    this.gateway = next;
    this.ready = this.open();
    await this.ready;
  }

  /** Kills the gateway, and compares the books with what it has left. The folder stays where something was found. */
  async verdict(): Promise<Verdict> {
    await this.gateway.kill();
    const verdict = this.books.verdict(readLedger(this.folder));
    if (isClean(verdict)) rmSync(join(this.folder, '..'), { recursive: true, force: true });
    return verdict;
  }

  async end(): Promise<void> {
    for (const caller of this.callers) caller.close();
    await this.gateway.kill();
  }

  private caller(name: string, credentials: { keyid: string; secret: string }, index: number): Caller {
    const { seed, patience, clockSteps } = this.options;
    const tell = (event: 'answer' | CountersignError) => {
      for (const watcher of this.watchers) watcher(event);
    };
    const place = {
      url: `http://127.0.0.1:${this.port}`,
      ready: () => this.ready,
      onAnswer: () => tell('answer'),
      onMiss: tell,
    };
    const chance = new Chance(seed * 31 + index);
    const { books } = this;
    // An answer that was signed by a clock which had just been set back looks as if somebody had held it up.
    const passing = clockSteps ? (['response-invalid'] as const) : [];
    return new Caller({ name, credentials, place, books, chance, passing, ...(patience && { patience }) });
  }

  private async open(): Promise<void> {
    const { folder, port } = this;
    const { isSabotaged = false } = this.options;
    const origins = [`http://127.0.0.1:${port}`];
    await this.gateway.tell({ kind: 'open', folder, port, origins, isSabotaged });
  }

  private watch(count: number, counts: (event: 'answer' | CountersignError) => boolean): Promise<void> {
    let left = count;
    return new Promise((resolve) => {
      const watcher = (event: 'answer' | CountersignError): void => {
        if (!counts(event) || --left > 0) return;
        this.watchers.delete(watcher);
        resolve();
      };
      this.watchers.add(watcher);
    });
  }
}

export function isClean({ lost, doubled, wrong }: Verdict): boolean {
  return lost.length + doubled.length + wrong.length === 0;
}
