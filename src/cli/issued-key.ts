/**
 * What the commands that issue a key share: the limits that it may be given, and how its secret is shown, once.
 * @module
 */
import { unlinkSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { KeyDraft } from '../consumers/key-draft.ts';
import type { IssuedKey } from '../consumers/registration.ts';
import { CountersignError } from '../errors.ts';
import { type CommonOptions, print, printJson } from './command.ts';
import { parseTime, TIME_FORMS } from './time.ts';

export interface OutOptions extends CommonOptions {
  readonly out?: string;
}

export interface LimitOptions {
  readonly label?: string;
  readonly notBefore?: number;
  readonly expires?: number;
  readonly roleSubset?: string[];
  readonly allow?: string[];
  readonly certificateUri?: string;
}

export function withOut(command: Command): Command {
  return command.option('--out <file>', 'write a credentials file, and keep the secret off the terminal');
}

/** The options of a key that is narrower than its consumer. */
export function withLimits(command: Command): Command {
  return command
    .option('--label <text>', 'which of the services holds the key')
    .option('--role-subset <role>', 'grant no more than this; may stand several times', collect)
    .option('--allow <address>', 'only from this address or CIDR; may stand several times', collect)
    .option('--certificate-uri <uri>', 'only with a client certificate of this name: spiffe://host/path')
    .option('--not-before <time>', `when it begins: ${TIME_FORMS}`, parseTime)
    .option('--expires <time>', `when it ends (in 90 days; in 400 at most): ${TIME_FORMS}`, parseTime);
}

export function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}

export function draftOf(options: LimitOptions): KeyDraft {
  const { label, notBefore, expires, roleSubset, allow, certificateUri } = options;
  return { label, notBefore, notAfter: expires, roleSubset, allow, certificateUri };
}

/** What the audit record says of a draft. Not the label: it is free text, and a row can't be taken back. */
export function recordedDraft(draft: KeyDraft): KeyDraft {
  const { notBefore, notAfter, roleSubset, allow, certificateUri } = draft;
  return { notBefore, notAfter, roleSubset, allow, certificateUri };
}

/**
 * Issues a key, and writes its credentials before the commit: a file that can't be written leaves no key whose secret
 * nobody has, and a commit that fails leaves no file.
 * @param issue gets what to call with the new key inside its unit of work.
 */
export async function issueTo<T extends IssuedKey>(
  { out }: OutOptions,
  issue: (keep: (issued: T) => void) => Promise<T>,
): Promise<T> {
  let written: string | undefined;
  try {
    return await issue((issued) => {
      if (out === undefined) return;
      writeCredentials(out, issued);
      written = out;
    });
  } catch (error) {
    if (written !== undefined) unlinkSync(written);
    throw error;
  }
}

function writeCredentials(file: string, { keyid, secret }: IssuedKey): void {
  try {
    const text = `${JSON.stringify({ keyid, secret }, null, 2)}\n`;
    writeFileSync(file, text, { mode: 0o600, flag: 'wx', flush: true });
  } catch (error) {
    const why =
      (error as NodeJS.ErrnoException).code === 'EEXIST' ? 'it exists already' : (error as Error).message;
    throw new CountersignError(
      'credentials-invalid',
      `${file} can't be written: ${why}. Nothing was changed.`,
    );
  }
}

/** @param what happened, for people, such as `Consumer shop added`. @param more for programs. */
export function printIssued<T extends IssuedKey>(
  issued: T,
  what: string,
  { out, json }: OutOptions,
  more: Readonly<Record<string, unknown>> = {},
): void {
  const { consumer, keyid, secret, roles } = issued;
  if (json) printJson({ consumer, keyid, ...(out === undefined && { secret }), roles, ...more });
  else if (out !== undefined) print(`${what}. Its credentials are in ${out}.`);
  else {
    print(`${what}. This is the only time its secret is shown:\n`);
    print(`  keyid   ${keyid}\n  secret  ${secret}\n  roles   ${roles.join(', ') || '(none)'}`);
  }
}
