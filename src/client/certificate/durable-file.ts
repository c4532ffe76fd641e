/**
 * Files that are there whole or not at all, also after a power loss.
 * @module
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { CountersignError } from '../../errors.ts';

/** Puts `content` in the place of what stands there, if anything does. */
export function replaceFile(path: string, content: string | Uint8Array, mode = 0o600): void {
  moveFile(writeDraft(path, content, mode), path);
}

/** Puts `content` where nothing stands. @returns false, and changes nothing, where another process was there first. */
export function createFile(path: string, content: string | Uint8Array, mode = 0o600): boolean {
  const draft = writeDraft(path, content, mode);
  try {
    linkSync(draft, path);
    syncFolder(dirname(path));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** `.NAME.PID.part`: what isn't in its place yet. */
const DRAFT = /^\..*\.(\d{1,10})\.part$/;

/** Removes what killed processes have left of files in a folder, since a key may be among it. */
export function removeDrafts(folder: string): void {
  for (const name of readdirSync(folder)) {
    const pid = DRAFT.exec(name)?.[1];
    // Files are written in one go, so this process has none under way.
    if (pid !== undefined && (Number(pid) === process.pid || !isRunning(Number(pid)))) {
      rmSync(join(folder, name), { recursive: true, force: true });
    }
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // EPERM: it runs, and belongs to somebody else.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

function writeDraft(path: string, content: string | Uint8Array, mode: number): string {
  const draft = join(dirname(path), `.${basename(path)}.${process.pid}.part`);
  // What a kill left behind gives way. Others write to some of these folders too: a link of theirs that bears this name
  // must not have us write to where it leads.
  rmSync(draft, { force: true });
  const descriptor = openSync(draft, 'wx', mode);
  try {
    // Whatever the umask is.
    fchmodSync(descriptor, mode);
    writeFileSync(descriptor, content);
    fsyncSync(descriptor);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  } finally {
    closeSync(descriptor);
  }
  return draft;
}

/** Within one folder. */
export function moveFile(from: string, to: string): void {
  renameSync(from, to);
  syncFolder(dirname(to));
}

export function removeFile(path: string): void {
  rmSync(path, { force: true });
}

/** What is renamed in a folder survives a power loss once the folder is on the disk. */
function syncFolder(folder: string): void {
  if (process.platform === 'win32') return;
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Absent on Windows. What others put into a folder may be a link, or a pipe that would hold us up for ever. */
const NO_LINK = constants.O_NOFOLLOW ?? 0;
const NO_WAIT = constants.O_NONBLOCK ?? 0;
/** Larger than a chain of any kind. */
const MOST_BYTES = 64 * 1024;

/** @returns undefined where there is no such file. `certificate-invalid` for what is no plain file of a sane size. */
export function readPlainFile(path: string): string | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | NO_LINK | NO_WAIT);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new CountersignError('certificate-invalid', `${path} can't be read (${code}).`, { cause: error });
  }
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) throw new CountersignError('certificate-invalid', `${path} is no plain file.`);
    const bytes = Buffer.alloc(MOST_BYTES + 1);
    const length = readSync(descriptor, bytes, 0, bytes.length, 0);
    if (length <= MOST_BYTES) return bytes.toString('utf8', 0, length);
    throw new CountersignError('certificate-invalid', `${path} is longer than ${MOST_BYTES} bytes.`);
  } finally {
    closeSync(descriptor);
  }
}
