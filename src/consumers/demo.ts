/**
 * The demo consumer that the first start makes, so that a newcomer's first call needs no preparation.
 * @module
 */
import {
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { CountersignError } from '../errors.ts';
import type { IssuedKey } from './registration.ts';

export const DEMO_CONSUMER = 'demo';
export const DEMO_ROLES = ['demo'];

export function demoFile(folder: string): string {
  return join(folder, 'demo.json');
}

/**
 * Writes the credentials file in one step, for its owner alone. Called before the consumer is committed: a kill in
 * between leaves a file that the next start replaces, never a consumer whose secret nobody has.
 */
export function writeDemoFile(folder: string, issued: IssuedKey): void {
  replaceFile(demoFile(folder), { keyid: issued.keyid, secret: issued.secret });
}

/**
 * Notes in the credentials file where the gateway listens now, if it still holds the demo key.
 * @param ca the roots that vouch for the gateway, in PEM; undefined for plain http.
 */
export function noteDemoUrl(folder: string, keyid: string, url: string, ca?: string): void {
  const file = demoFile(folder);
  if (!existsSync(file)) return;
  const held = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  if (held.keyid !== keyid || (held.url === url && held.ca === ca)) return;
  replaceFile(file, { ...held, url, ca });
}

/** The credentials of the demo key's successor, until they take their place. */
export interface DemoSuccessor {
  readonly file: string;
  /** To be called after the commit: a kill in between leaves the old key, which is good for a while. */
  put(): void;
  drop(): void;
}

/** @returns undefined where there is no file any more. `credentials-invalid` */
export function demoSuccessor(folder: string, { keyid, secret }: IssuedKey): DemoSuccessor | undefined {
  const file = demoFile(folder);
  if (!existsSync(file)) return undefined;
  try {
    const held = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    const draft = writeDraft(file, { ...held, keyid, secret });
    const { uid, gid } = statSync(file);
    // An administrator may rotate the key of a service that runs as somebody else.
    if (process.getuid?.() === 0) chownSync(draft, uid, gid);
    return { file, put: () => renameSync(draft, file), drop: () => rmSync(draft, { force: true }) };
  } catch (error) {
    const why = (error as Error).message;
    throw new CountersignError(
      'credentials-invalid',
      `${file} can't be written: ${why}. Mend or remove it; nothing was changed.`,
      { cause: error },
    );
  }
}

function replaceFile(file: string, content: unknown): void {
  renameSync(writeDraft(file, content), file);
}

function writeDraft(file: string, content: unknown): string {
  const draft = `${file}.${process.pid}`;
  const descriptor = openSync(draft, 'w', 0o600);
  try {
    writeSync(descriptor, `${JSON.stringify(content, null, 2)}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  return draft;
}
