/**
 * The fault harness: sixteen clients that ask until they are answered, a gateway that is killed again and again, and
 * the comparison of the clients' books with the database. It needs no test runner.
 *
 * There are four ways to kill. `sweep`: one client alone makes a call, and the gateway ends before or behind one
 * statement of its transactions, each in turn. `statement`: the same at any statement while all clients call.
 * `commit`: at a commit that many calls share. `signal`: from outside, at any moment.
 * @module
 */
import { Chance } from '../gateway/chance.ts';
import type { Verdict } from './books.ts';
import type { Caller } from './caller.ts';
import type { By, Work } from './effects.ts';
import { GatewayProcess } from './gateway-process.ts';
import { isClean, Scene } from './scene.ts';
import type { KillPlan } from './statement-hook.ts';

export type Way = 'sweep' | 'statement' | 'commit' | 'signal';

export interface HarnessOptions {
  /** What is called and where it is struck follows from it; the order in which calls arrive doesn't. */
  readonly seed: number;
  /** Ends after so many kills, or after so many milliseconds, whatever comes first. */
  readonly kills: number;
  readonly milliseconds?: number;
  /** Taken in turn. Default: three sweeps, and one of the others. */
  readonly ways?: readonly Way[];
  readonly isSabotaged?: boolean;
  readonly onProgress?: (progress: Progress) => void;
}

export interface Progress {
  readonly kills: number;
  /** Begun, and most of them answered. */
  readonly calls: number;
}

export interface Report extends Verdict {
  readonly seed: number;
  readonly kills: number;
  /** How often the gateway ended before or behind each statement; `signal` for those from outside. */
  readonly struckAt: ReadonlyMap<string, number>;
  /** Calls whose every statement was struck, both before and behind it. */
  readonly sweeps: number;
  /** Of the database, where something was found. */
  readonly folder: string | undefined;
}

const OTHERS: readonly Way[] = ['statement', 'commit', 'signal'];
const EVERY_WAY = OTHERS.flatMap((way): Way[] => ['sweep', 'sweep', 'sweep', way]);
const OTHER_EDGE = { before: 'after', after: 'before' } as const;
/** Processes that load their modules while the one before them works. */
const WAITING = 2;
/** Milliseconds in which a round must have come to its end. */
const ROUND_MS = 120_000;
/** What is swept, one after the other; the last two are refused, since no account holds as much. */
const SWEPT: readonly { readonly by: By; readonly work: (op: string) => Work }[] = [
  { by: 'nonce', work: (op) => ({ op, counter: 'c0', amount: 1 }) },
  { by: 'key', work: (op) => ({ op, from: 'a1', to: 'a0', amount: 1 }) },
  { by: 'nonce', work: (op) => ({ op, from: 'a0', to: 'a1', amount: 1 }) },
  { by: 'key', work: (op) => ({ op, counter: 'c1', amount: 2 }) },
  { by: 'nonce', work: (op) => ({ op, from: 'a0', to: 'a1', amount: 1_000_000 }) },
  { by: 'key', work: (op) => ({ op, from: 'a0', to: 'a1', amount: 1_000_000 }) },
];

export async function runHarness(options: HarnessOptions): Promise<Report> {
  const harness = new Harness(options, await Scene.start(options));
  try {
    return await harness.run();
  } finally {
    await harness.end();
  }
}

class Harness {
  private readonly options: HarnessOptions;
  private readonly scene: Scene;
  private readonly chance: Chance;
  private readonly waiting = Array.from({ length: WAITING }, () => new GatewayProcess());
  private readonly struckAt = new Map<string, number>();
  private kills = 0;
  private sweeps = 0;
  private next = { call: 0, index: 0, edge: 'before' as KillPlan['edge'] };

  constructor(options: HarnessOptions, scene: Scene) {
    this.options = options;
    this.scene = scene;
    this.chance = new Chance(options.seed);
  }

  async run(): Promise<Report> {
    const { kills, milliseconds = Number.POSITIVE_INFINITY, ways = EVERY_WAY, seed } = this.options;
    const { scene, struckAt } = this;
    const started = performance.now();
    for (let round = 0; this.kills < kills && performance.now() - started < milliseconds; round++) {
      await this.inTime(this.round(ways[round % ways.length] as Way));
      this.options.onProgress?.({ kills: this.kills, calls: scene.books.lines.length });
    }
    await this.inTime(scene.askAgain(200));
    const verdict = await scene.verdict();
    const folder = isClean(verdict) ? undefined : scene.folder;
    return { ...verdict, seed, kills: this.kills, struckAt, sweeps: this.sweeps, folder };
  }

  async end(): Promise<void> {
    await this.scene.end();
    await Promise.all(this.waiting.map((each) => each.kill()));
  }

  private async round(way: Way): Promise<void> {
    if (way === 'sweep') await this.sweep();
    else await this.strike(way);
    // Now and then much of it: what was answered long ago must be answered so still.
    await this.scene.askAgain(this.kills % 10 === 0 ? 20 : 2);
  }

  /** The next statement of one call. A call that is answered all the same has no further statement. */
  private async sweep(): Promise<void> {
    const { call, index, edge } = this.next;
    const { by, work } = SWEPT[call] as (typeof SWEPT)[number];
    const { gateway, callers } = this.scene;
    await gateway.tell({ kind: 'plan', plan: { index, edge } });
    const op = `sweep-${this.sweeps}-${index}-${edge}`;
    const answered = (callers[0] as Caller).call(work(op), by, 1);
    const isStruck = await Promise.race([gateway.ended.then(() => true), answered.then(() => false)]);
    if (isStruck) {
      await this.reopen();
      await answered;
      this.next = { call, index: edge === 'after' ? index + 1 : index, edge: OTHER_EDGE[edge] };
      return;
    }
    this.sweeps++;
    this.next = { call: (call + 1) % SWEPT.length, index: 0, edge: 'before' };
    // What the gateway does by itself, now and then, may meet the plan before it is withdrawn.
    await gateway.tell({ kind: 'plan', plan: undefined }).catch(() => this.reopen());
  }

  private async strike(way: Exclude<Way, 'sweep'>): Promise<void> {
    const { chance, scene } = this;
    const { gateway } = scene;
    const edge = chance.pick(['before', 'after'] as const);
    if (way === 'statement') {
      await gateway.tell({ kind: 'plan', plan: { index: chance.below(600), edge } });
    } else if (way === 'commit') {
      await gateway.tell({ kind: 'plan', plan: { index: chance.below(30), edge, only: 'COMMIT' } });
    } else {
      void scene.answered(1 + chance.below(400)).then(() => gateway.process.kill('SIGKILL'));
    }
    const rest = scene.load();
    await gateway.ended;
    const rested = rest();
    await this.reopen();
    await rested;
  }

  private async reopen(): Promise<void> {
    const { struckAt = 'signal', process } = this.scene.gateway;
    await this.scene.gateway.ended;
    const { signalCode, exitCode } = process;
    if (signalCode !== 'SIGKILL') throw new Error(`The gateway ended by itself (${signalCode ?? exitCode}).`);
    this.struckAt.set(struckAt, (this.struckAt.get(struckAt) ?? 0) + 1);
    this.kills++;
    const next = this.waiting.shift() as GatewayProcess;
    this.waiting.push(new GatewayProcess());
    await this.scene.reopen(next);
  }

  private async inTime<T>(work: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new Error(`A round didn't end (seed ${this.options.seed}, ${this.kills} kills).`);
      timer = setTimeout(() => reject(error), ROUND_MS);
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** For whoever reads a run: what it did, and what it found. */
export function reportText({
  kills,
  acknowledged,
  refused,
  unknown,
  repeated,
  lost,
  doubled,
  wrong,
}: Report) {
  return `${kills} kills, ${acknowledged} acknowledged, ${refused} refused, ${unknown} unknown, ${repeated} asked again: ${lost.length} lost, ${doubled.length} doubled, ${wrong.length} wrong`;
}
