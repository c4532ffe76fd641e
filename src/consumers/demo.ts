/**
 * The demo consumer that the first start makes, so that a newcomer's first call needs no preparation.
 * @module
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
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

function replaceFile(file: string, content: unknown): void {
  const draft = `${file}.${process.pid}`;
  const descriptor = openSync(draft, 'w', 0o600);
  try {
    writeSync(descriptor, `${JSON.stringify(content, null, 2)}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(draft, file);
}
