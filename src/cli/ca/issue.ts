/**
 * `countersign ca issue`: issue a certificate.
 * @module
 */
import type { Command } from 'commander';
import { command } from '../command.ts';

export function issue(): Command {
  return command('issue', 'issue a certificate');
}
