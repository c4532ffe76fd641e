/**
 * The product as its users have it: compiled, into a temporary folder, so that no other build is disturbed. All test
 * files of one run share a build, and what a run that has ended left behind is removed.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The folder of package.json. */
export const root = join(import.meta.dirname, '../..');

const NAME = 'countersign-build-';

let built: { readonly folder: string } | { readonly error: Error } | undefined;

/** @returns the folder that holds package.json, node_modules and dist. */
export function builtFolder(): string {
  built ??= build();
  if ('error' in built) throw built.error;
  return built.folder;
}

function build(): { folder: string } | { error: Error } {
  // The parent of the test files' processes is the run itself.
  const folder = join(tmpdir(), `${NAME}${process.ppid}-${fingerprint()}`);
  if (existsSync(folder)) return { folder };
  removeLeftovers();
  const draft = mkdtempSync(join(tmpdir(), 'countersign-draft-'));
  try {
    copyFileSync(join(root, 'package.json'), join(draft, 'package.json'));
    cpSync(join(root, 'certs'), join(draft, 'certs'), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(draft, 'node_modules'));
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    const args = [compiler, '-p', root, '--outDir', join(draft, 'dist')];
    const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    if (status !== 0) return { error: new Error(`The product can't be built:\n${stdout}`) };
    renameSync(draft, folder);
  } catch (error) {
    // Another test file of this run may have been faster.
    if (!existsSync(folder)) throw error;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return { folder };
}

/** Not in a clone, or not needed to build one. */
const LEFT = ['node_modules', 'dist', '.git', '.countersign', 'test'].map((name) => join(root, name));

/** Makes a folder what a clone is after `npm ci`: sources and packages, nothing built. */
export function copyProject(folder: string): void {
  cpSync(root, folder, { recursive: true, filter: (path) => !LEFT.includes(path) && !path.endsWith('.tgz') });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
}

/** Process ids come again: only a build of these very sources is taken. */
function fingerprint(): string {
  const hash = createHash('sha256');
  const sources = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  for (const file of [...sources, join(root, 'tsconfig.json'), join(root, 'package.json')]) {
    hash.update(file).update('\0').update(readFileSync(file)).update('\0');
  }
  return hash.digest('hex').slice(0, 16);
}

function removeLeftovers(): void {
  for (const name of readdirSync(tmpdir())) {
    const run = name.startsWith(NAME) ? Number(name.slice(NAME.length).split('-')[0]) : Number.NaN;
    if (run > 0 && !isRunning(run)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function isRunning(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
