/**
 * The issuer's folder: only its owner reads it, and what is written there is whole or not there.
 * @module
 */

/** `authority-invalid` where there is none, or others can read or write it. */
export function checkFolder(_dir: string): void {
  throw new Error('being built');
}

/** Written beside its place, synced, renamed. What lay there is replaced. */
export function replaceFile(_file: string, _content: string | Buffer, _mode: number): void {
  throw new Error('being built');
}
