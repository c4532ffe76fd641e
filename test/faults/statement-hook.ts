/**
 * Ends this process before or after one statement of a transaction. The process of a test imports it, and nothing
 * else does: the gateway that runs in it is the real one, whose statements are SQLite's own methods with a stop in
 * front of and behind them.
 * @module
 */
import { writeSync } from 'node:fs';
import Sqlite from 'better-sqlite3';

export interface KillPlan {
  /** How many statements are let pass, from BEGIN to COMMIT, since the plan was laid. */
  readonly index: number;
  readonly edge: 'before' | 'after';
  /** Counts no other statements than those of this text. */
  readonly only?: string;
}

let plan: KillPlan | undefined;
let passed = 0;

/** @param next undefined for none. */
export function layPlan(next: KillPlan | undefined): void {
  plan = next;
  passed = 0;
}

type Method = (this: Sqlite.Statement, ...given: unknown[]) => unknown;

/** A pragma runs through these too; `exec`, which makes the schema, is never in the transaction of a call. */
const METHODS = ['run', 'get', 'all', 'iterate'] as const;

const statement = Object.getPrototypeOf(new Sqlite(':memory:').prepare('SELECT 1')) as Record<string, Method>;
for (const name of METHODS) {
  const original = statement[name] as Method;
  statement[name] = function (this: Sqlite.Statement, ...given: unknown[]): unknown {
    const isMet = plan !== undefined && isCounted(this, plan) && passed++ === plan.index;
    const edge = isMet ? plan?.edge : undefined;
    if (edge === 'before') strike(edge, this.source);
    const result = original.apply(this, given);
    if (edge === 'after') strike(edge, this.source);
    return result;
  };
}

function isCounted({ database, source }: Sqlite.Statement, { only }: KillPlan): boolean {
  if (only !== undefined) return source === only;
  return database.inTransaction || source.startsWith('BEGIN');
}

/** A signal to oneself is delivered before the call returns (kill(2)). */
function strike(edge: string, source: string): void {
  writeSync(1, `killed ${edge} ${source.split('\n')[0]}\n`);
  process.kill(process.pid, 'SIGKILL');
}
