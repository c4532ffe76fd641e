/**
 * `countersign ca trust`: show the trust bundle.
 * @module
 */
import type { Command } from 'commander';
import { command } from '../command.ts';

export function trust(): Command {
  return command('trust', 'show the trust bundle');
}
