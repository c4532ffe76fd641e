/**
 * `countersign ca init`: make the root and its folder.
 * @module
 */
import type { Command } from 'commander';
import { command } from '../command.ts';

export function init(): Command {
  return command('init', 'make the root and its folder');
}
