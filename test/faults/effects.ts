/**
 * Endpoints whose effects can be counted: counters that are raised, and transfers between accounts. Each call leaves
 * an entry that says how often it took effect.
 * @module
 */
import { CountersignError } from '../../src/errors.ts';
import type { Endpoint, EndpointInput, HostEndpoint, Json, Transaction } from '../../src/index.ts';

export const COUNTERS = ['c0', 'c1', 'c2', 'c3'] as const;
export const ACCOUNTS = ['a0', 'a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'a7'] as const;
/** What every account holds before the first transfer. */
export const OPENING = 1000;
export const ROLE = 'ledger';

export interface Raise {
  readonly op: string;
  readonly counter: string;
  readonly amount: number;
}

export interface Transfer {
  readonly op: string;
  readonly from: string;
  readonly to: string;
  readonly amount: number;
}

export type Work = Raise | Transfer;

/** What a call leaves behind: what it did, and how often. */
export type Entry = Work & { readonly times: number };

export type By = 'nonce' | 'key';

export function pathOf(work: Work, by: By): string {
  return `/${'counter' in work ? 'counters' : 'transfers'}/${by}`;
}

/** How an effect is written; a harness that is to find a loss puts something worse in its place. */
export type Write = (tx: Transaction, work: (tx: Transaction) => Promise<void>) => Promise<void>;

const inTheTransaction: Write = (tx, work) => work(tx);

interface Raised {
  readonly entry: Raise & { readonly times: number };
  readonly value: number;
}

function raise(by: By, write: Write): Endpoint<Raise, Raised, Raised, typeof ROLE> {
  return {
    name: 'counter.raise',
    role: ROLE,
    idempotency: by,
    parameters: ({ body }: EndpointInput) => body as Raise,
    loadState: async (tx, work) => ({
      entry: { ...work, times: await timesOf(tx, work) },
      value: ((await tx.state.get('counters', work.counter)) as number | undefined) ?? 0,
    }),
    updateState: ({ entry, value }) => ({
      entry: { ...entry, times: entry.times + 1 },
      value: value + entry.amount,
    }),
    apply: (shared, { entry, value }) =>
      write(shared, async (tx) => {
        await tx.state.put('counters', entry.counter, value);
        await tx.state.put('entries', entry.op, { ...entry });
      }),
    getResponse: ({ entry, value }) => ({ status: 200, body: { op: entry.op, value } }),
    audit: ({ entry }) => ({ subject: entry.op }),
  };
}

interface Transferred {
  readonly entry: Transfer & { readonly times: number };
  readonly from: number;
  readonly to: number;
}

function transfer(by: By, write: Write): Endpoint<Transfer, Transferred, Transferred, typeof ROLE> {
  const balance = async (tx: Transaction, name: string) =>
    ((await tx.state.get('accounts', name)) as number | undefined) ?? OPENING;
  return {
    name: 'transfer.make',
    role: ROLE,
    idempotency: by,
    parameters: ({ body }: EndpointInput) => body as Transfer,
    loadState: async (tx, work) => ({
      entry: { ...work, times: await timesOf(tx, work) },
      from: await balance(tx, work.from),
      to: await balance(tx, work.to),
    }),
    updateState({ entry, from, to }) {
      const { amount } = entry;
      if (from < amount) throw new CountersignError('conflict', 'The account holds less than that.');
      return { entry: { ...entry, times: entry.times + 1 }, from: from - amount, to: to + amount };
    },
    apply: (shared, { entry, from, to }) =>
      write(shared, async (tx) => {
        await tx.state.put('accounts', entry.from, from);
        await tx.state.put('accounts', entry.to, to);
        await tx.state.put('entries', entry.op, { ...entry });
      }),
    getResponse: ({ entry, from, to }) => ({ status: 201, body: { op: entry.op, from, to } }),
    audit: ({ entry }) => ({ subject: entry.op }),
  };
}

async function timesOf(tx: Transaction, { op }: Work): Promise<number> {
  const entry = (await tx.state.get('entries', op)) as { readonly [name: string]: Json } | undefined;
  return (entry?.times as number | undefined) ?? 0;
}

export function effects(write: Write = inTheTransaction): HostEndpoint[] {
  return (['nonce', 'key'] as const).flatMap((by) => [
    { method: 'POST', path: `/counters/${by}`, endpoint: raise(by, write) },
    { method: 'POST', path: `/transfers/${by}`, endpoint: transfer(by, write) },
  ]) as HostEndpoint[];
}
