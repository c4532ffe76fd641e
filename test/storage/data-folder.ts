/**
 * A data folder of its own for a test, gone when the test ends.
 * @module
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** The path of a folder that doesn't exist yet, inside one that does. */
export function dataFolder(): string {
  const parent = mkdtempSync(join(tmpdir(), 'countersign-'));
  onTestFinished(() => rmSync(parent, { recursive: true, force: true }));
  return join(parent, 'data');
}

/** Every file of a folder by its name, with a digest of its bytes, so that two moments can be compared. */
export function filesOf(folder: string): Record<string, string> {
  const digest = (name: string) =>
    createHash('sha256')
      .update(readFileSync(join(folder, name)))
      .digest('hex');
  return Object.fromEntries(readdirSync(folder).map((name) => [name, digest(name)]));
}
