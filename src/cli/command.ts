/**
 * What every command shares: its output, its exit code, its store.
 * @module
 */
import { Command } from 'commander';
import { systemClock } from '../clock.ts';
import { type Config, loadConfig } from '../config/config.ts';
import { CountersignError } from '../errors.ts';
import { SqliteStore } from '../storage/sqlite/store.ts';

export const REFUSED = 1;
export const MISUSED = 2;

/** Milliseconds that a command waits for a gateway's commit; a gateway itself waits much less. */
const LOCK_WAIT_MS = 5000;

export interface CommonOptions {
  readonly json?: true;
  readonly data?: string;
  readonly config?: string;
}

/** A command with the options that all of them have. */
export function command(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option('--json', 'print JSON')
    .option('--data <folder>', 'the data folder (COUNTERSIGN_DATA, or .countersign)')
    .option('--config <file>', 'the YAML file (COUNTERSIGN_CONFIG)')
    .showHelpAfterError('(--help tells more)');
}

/** A noun whose verbs are commands of their own. */
export function noun(name: string, description: string, verbs: readonly Command[]): Command {
  const parent = new Command(name).description(description).showHelpAfterError('(--help tells more)');
  for (const verb of verbs) parent.addCommand(verb);
  return parent;
}

export function configOf(
  options: CommonOptions,
  { developmentTls = false }: { readonly developmentTls?: boolean | undefined } = {},
): Config {
  return loadConfig(undefined, {
    developmentTls,
    variables: {
      ...(options.data === undefined ? {} : { COUNTERSIGN_DATA: options.data }),
      ...(options.config === undefined ? {} : { COUNTERSIGN_CONFIG: options.config }),
    },
  });
}

/** Opens the store beside a gateway that may be running, and closes it after the work. */
export async function withStore<T>(
  options: CommonOptions,
  work: (store: SqliteStore) => T | Promise<T>,
): Promise<T> {
  const config = configOf(options);
  const store = new SqliteStore({
    folder: config.data,
    clock: systemClock,
    skew: config.signatures.skew,
    masterKey: config.masterKey,
    lockWaitMs: LOCK_WAIT_MS,
  });
  try {
    return await work(store);
  } finally {
    store.close();
  }
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** Columns as wide as their widest cell. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => (row[i] ?? '').length)));
  for (const row of [head, ...rows])
    print(
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    );
}

/** Tells an error with what to do about it. What wasn't raised on purpose is a defect, and shows its stack. */
export function reportError(error: unknown, json: boolean): void {
  if (isForbidden(error)) {
    const { code, message } = error;
    const detail = `${message}: run this as the user whom it belongs to, or give it to the one who runs this.`;
    process.stderr.write(json ? `${JSON.stringify({ code, detail })}\n` : `countersign: ${detail}\n`);
    return;
  }
  if (!(error instanceof CountersignError)) {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return;
  }
  const { code, message: detail, members } = error;
  process.stderr.write(
    json ? `${JSON.stringify({ code, detail, ...members })}\n` : `countersign: ${detail}\n  (${code})\n`,
  );
}

/** Whether the system lets another user alone do it: no defect, and its stack tells nobody anything. */
function isForbidden(error: unknown): error is NodeJS.ErrnoException {
  return (
    error instanceof Error && 'path' in error && 'code' in error && /^(EACCES|EPERM)$/.test(`${error.code}`)
  );
}

/** Tells people how far long work has come: once a second, so that short work says nothing. */
export function progressOf(
  now: () => number = () => performance.now(),
  tell: (text: string) => void = (text) => process.stderr.write(text),
): (done: number, total: number) => void {
  let told = now();
  return (done, total) => {
    if (now() - told < 1000) return;
    told = now();
    tell(`${Math.floor((done / total) * 100)} %\n`);
  };
}
