/** Loads a configuration as the gateway would, from variables and the text of a YAML file. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Config, loadConfig } from '../../src/config/config.ts';
import { CountersignError } from '../../src/errors.ts';

export function load(yaml: string | Uint8Array | undefined, variables: Record<string, string> = {}): Config {
  if (yaml === undefined) return loadConfig(variables, { cwd: '/srv' });
  const folder = mkdtempSync(join(tmpdir(), 'countersign-config-'));
  try {
    writeFileSync(join(folder, 'c.yaml'), yaml);
    return loadConfig({ COUNTERSIGN_CONFIG: 'c.yaml', ...variables }, { cwd: folder });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The refusal that a configuration earns; fails the test where it is accepted. */
export function refusal(
  yaml: string | Uint8Array | undefined,
  variables: Record<string, string> = {},
): CountersignError {
  try {
    load(yaml, variables);
  } catch (error) {
    if (error instanceof CountersignError) return error;
    throw error;
  }
  throw new Error('The configuration was accepted.');
}

/** The faults of a configuration, one a line. */
export function faults(yaml: string | Uint8Array | undefined, variables?: Record<string, string>): string[] {
  return refusal(yaml, variables).message.split('\n');
}
