/**
 * `countersign ca request`: make a key and a certificate request.
 * @module
 */
import type { Command } from 'commander';
import { command } from '../command.ts';

export function request(): Command {
  return command('request', 'make a key and a certificate request');
}
