/**
 * The books that the clients keep of what they asked for and were told, and their comparison with the database.
 * @module
 */
import { ACCOUNTS, type By, COUNTERS, type Entry, OPENING, type Work } from './effects.ts';
import type { Ledger } from './ledger.ts';

/** A verified answer. */
export interface Answer {
  readonly status: number;
  readonly body: string;
  /** The code of a refusal. */
  readonly refusal: string | undefined;
  readonly replayed: boolean;
}

/** `open`: no answer yet. `unknown`: given up, since the message can't be sent again any more. */
export type Standing = 'open' | 'done' | 'refused' | 'unknown';

export interface Line {
  readonly work: Work;
  readonly by: By;
  standing: Standing;
  /** How often it was sent. */
  tries: number;
  first: Answer | undefined;
  /** Answers that it was done by this very try: one at the most. */
  fresh: number;
}

export interface Verdict {
  /** Calls that were answered as done. */
  readonly acknowledged: number;
  readonly refused: number;
  readonly unknown: number;
  /** Answers that were compared with an earlier one to the same call. */
  readonly repeated: number;
  /** Acknowledged, and not in the database. */
  readonly lost: readonly string[];
  /** More than once in the database. */
  readonly doubled: readonly string[];
  readonly wrong: readonly string[];
}

export class Books {
  readonly lines: Line[] = [];
  private readonly mayForget: boolean;
  private readonly wrong: string[] = [];
  private repeated = 0;

  /**
   * @param mayForget whether the gateway's clock may have passed the time for which the result of a message is kept,
   * and have been set back: its nonce may be known for longer.
   */
  constructor(mayForget = false) {
    this.mayForget = mayForget;
  }

  begin(work: Work, by: By): Line {
    const line: Line = { work, by, standing: 'open', tries: 0, first: undefined, fresh: 0 };
    this.lines.push(line);
    return line;
  }

  /**
   * @param knewDone whether the call was known to be done when this try was sent. Answers to tries that were under
   * way together may come in any order.
   */
  enter(line: Line, answer: Answer, knewDone: boolean): void {
    const { first, work, by } = line;
    if (answer.refusal === undefined && !answer.replayed) line.fresh++;
    if (first) {
      this.repeated++;
      this.compare(line, first, answer, knewDone);
      return;
    }
    if (answer.replayed && by === 'nonce' && line.tries === 1) {
      this.note(work, 'was called replayed at its first try');
    }
    if (answer.refusal === undefined && (JSON.parse(answer.body) as { op?: string }).op !== work.op) {
      this.note(work, `was answered with ${answer.body}`);
    }
    line.first = answer;
    line.standing = answer.refusal === undefined ? 'done' : 'refused';
  }

  note({ op }: Pick<Work, 'op'>, what: string): void {
    this.wrong.push(`${op} ${what}`);
  }

  private compare(line: Line, first: Answer, answer: Answer, knewDone: boolean): void {
    const { work, by, standing } = line;
    if (standing === 'refused') {
      if (answer.refusal !== undefined) return;
      if (by === 'nonce') this.note(work, `was refused, and answered with ${answer.body} afterwards`);
      // A refusal stores nothing under a key: the call is tried anew, and may go through.
      line.first = answer;
      line.standing = 'done';
      return;
    }
    if (this.mayForget && by === 'nonce' && answer.refusal === 'nonce-replayed') return;
    // It was refused before the other try went through: a refusal stores nothing under a key.
    if (by === 'key' && answer.refusal !== undefined && !knewDone) return;
    if (answer.status !== first.status || answer.body !== first.body) {
      this.note(
        work,
        `was answered ${first.status} ${first.body}, and ${answer.status} ${answer.body} later`,
      );
    } else if (!answer.replayed && (knewDone || line.fresh > 1)) {
      this.note(work, 'was done again without saying so');
    }
  }

  /** What the books and the database disagree about. */
  verdict({ entries, counters, accounts, audited, damage }: Ledger): Verdict {
    const wrong = [...this.wrong, ...damage];
    const count = (standing: Standing) => this.lines.filter((line) => line.standing === standing).length;
    const of = (work: Work) => entries.get(work.op);
    const lost = this.lines.filter(({ standing, work }) => standing === 'done' && !of(work));
    const doubled = [...entries.values()].filter(({ times }) => times > 1);
    for (const { standing, work } of this.lines) {
      if (standing === 'refused' && of(work)) wrong.push(`${work.op} was refused, and took effect`);
    }
    const known = new Set(this.lines.map(({ work }) => work.op));
    for (const { op } of entries.values()) {
      if (!known.has(op)) wrong.push(`${op} took effect, and nobody asked for it`);
      if (audited.get(op) !== 1) wrong.push(`${op} stands ${audited.get(op) ?? 0} times in the audit record`);
    }
    for (const [op] of audited) if (!entries.has(op)) wrong.push(`${op} is audited, and took no effect`);
    wrong.push(...sums([...entries.values()], counters, accounts), ...this.repeatedValues());
    return {
      acknowledged: count('done'),
      refused: count('refused'),
      unknown: count('unknown') + count('open'),
      repeated: this.repeated,
      lost: lost.map(({ work }) => work.op),
      doubled: doubled.map(({ op }) => op),
      wrong,
    };
  }

  /** Of a counter that only rises, no two calls can have been told the same value. */
  private repeatedValues(): string[] {
    const seen = new Map<string, string>();
    const found: string[] = [];
    for (const { work, standing, first } of this.lines) {
      if (standing !== 'done' || !first || !('counter' in work)) continue;
      const value = `${work.counter} ${(JSON.parse(first.body) as { value: number }).value}`;
      const other = seen.get(value);
      if (other) found.push(`${work.op} and ${other} were both told ${value}`);
      seen.set(value, work.op);
    }
    return found;
  }
}

/** Whether counters and accounts hold what the entries say, and no money was made or lost. */
function sums(
  entries: readonly Entry[],
  counters: ReadonlyMap<string, number>,
  accounts: ReadonlyMap<string, number>,
): string[] {
  const expected = new Map<string, number>();
  const add = (name: string, amount: number) => expected.set(name, (expected.get(name) ?? 0) + amount);
  for (const name of ACCOUNTS) add(name, OPENING);
  for (const entry of entries) {
    if ('counter' in entry) add(entry.counter, entry.amount * entry.times);
    else {
      add(entry.from, -entry.amount * entry.times);
      add(entry.to, entry.amount * entry.times);
    }
  }
  const held = (name: string) =>
    counters.get(name) ?? accounts.get(name) ?? (name.startsWith('a') ? OPENING : 0);
  const found = [...COUNTERS, ...ACCOUNTS]
    .filter((name) => held(name) !== (expected.get(name) ?? 0))
    .map((name) => `${name} holds ${held(name)}, and its entries add up to ${expected.get(name) ?? 0}`);
  const total = ACCOUNTS.reduce((sum, name) => sum + held(name), 0);
  if (total !== OPENING * ACCOUNTS.length) found.push(`all accounts hold ${total} together`);
  return found;
}
