/**
 * `countersign config check`: reads the configuration as `serve` would, and tells every fault at once.
 * @module
 */
import type { Command } from 'commander';
import { maskedConfig } from '../config/config.ts';
import { type CommonOptions, command, configOf, noun, print, printJson } from './command.ts';

export function config(): Command {
  return noun('config', 'the configuration', [
    command('check', 'check it, and tell every fault at once').action(check),
  ]);
}

function check(options: CommonOptions): void {
  const found = maskedConfig(configOf(options));
  if (options.json) printJson(found);
  else print('The configuration is good.');
}
