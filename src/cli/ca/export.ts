/**
 * `countersign ca export --p12`: a certificate and its key for Java and Windows.
 * @module
 */
import type { Command } from 'commander';
import { command } from '../command.ts';

export function exportBundle(): Command {
  return command('export', 'write a certificate and its key as PKCS#12, for Java and Windows');
}
