/**
 * A file system with a fault at one of its steps: the process is killed there, and nothing is done for it any more,
 * whatever its clean-up would like; or the disk is full for this one step. Put in the place of node:fs by `vi.mock`.
 * @module
 */
import type * as Fs from 'node:fs';

export type Fault = 'kill' | 'kill-half-way' | 'full' | 'full-half-way';

const disk = {
  /** Steps that are still done before the fault; undefined where nothing is counted. */
  left: undefined as number | undefined,
  fault: 'kill' as Fault,
  isDead: false,
  /** The step that failed. */
  met: undefined as string | undefined,
};

/** @param step how many steps are done before the fault. */
export function arm(fault: Fault, step: number): void {
  Object.assign(disk, { left: step, fault, isDead: false, met: undefined });
}

export function disarm(): void {
  Object.assign(disk, { left: undefined, isDead: false });
}

/** The name of the step that had the fault, since it was armed; undefined where it came to none. */
export function met(): string | undefined {
  return disk.met;
}

const FREES = ['unlinkSync', 'rmSync', 'ftruncateSync'];
const WRITES = ['writeFileSync', 'writeSync'];
const STEPS = ['mkdirSync', 'openSync', ...WRITES, 'fsyncSync', 'renameSync', 'linkSync', ...FREES];
const READS = ['readdirSync', 'readSync', 'readFileSync', 'lstatSync', 'existsSync'];

type Step = (...args: unknown[]) => unknown;

/** node:fs with the fault that is armed. */
export function faultyDisk(fs: typeof Fs): typeof Fs {
  const real = fs as unknown as Record<string, Step>;
  const changed = Object.fromEntries([
    ...STEPS.map((name) => [name, (...args: unknown[]) => takeStep(real, name, args)]),
    ...READS.map((name) => [
      name,
      (...args: unknown[]) => {
        if (disk.isDead) throw dead();
        return real[name]?.(...args);
      },
    ]),
  ]);
  return { ...fs, ...changed, default: { ...fs, ...changed } } as typeof Fs;
}

function takeStep(real: Record<string, Step>, name: string, args: unknown[]): unknown {
  if (disk.isDead) throw dead();
  if (disk.left === undefined || !isConcerned(name, args) || disk.left-- > 0) return real[name]?.(...args);
  disk.left = undefined;
  disk.met = name;
  if (disk.fault.endsWith('half-way')) writeHalf(real, name, args);
  disk.isDead = disk.fault.startsWith('kill');
  if (disk.isDead) throw dead();
  throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC', syscall: 'write' });
}

function isConcerned(name: string, args: unknown[]): boolean {
  // What isn't written can't be half written.
  if (disk.fault.endsWith('half-way') && !WRITES.includes(name)) return false;
  // A full disk still reads, and lets go of what it holds.
  const isReading = name === 'openSync' && (typeof args[1] === 'number' || args[1] === 'r');
  return disk.fault.startsWith('kill') || !(isReading || FREES.includes(name));
}

function writeHalf(real: Record<string, Step>, name: string, [where, content, ...rest]: unknown[]): void {
  const bytes = Buffer.from(content as string);
  const half = bytes.subarray(0, bytes.length >> 1);
  if (name === 'writeSync') real.writeSync?.(where, half, typeof rest[0] === 'number' ? rest[0] : 0);
  else real.writeFileSync?.(where, half, ...rest);
}

function dead(): Error {
  return Object.assign(new Error('the process is gone'), { syscall: 'none', code: 'EIO' });
}
