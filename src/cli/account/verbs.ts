/**
 * The verbs of `countersign account`, in the order of `--help`. They load what accounts are made with.
 * @module
 */
import type { Command } from 'commander';
import { add } from './add.ts';
import { disable, enable, remove } from './end.ts';
import { totp } from './second-factor.ts';
import { list, show } from './show.ts';

export function verbs(): Command[] {
  return [add(), list(), show(), totp(), disable(), enable(), remove()];
}
