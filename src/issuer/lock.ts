/**
 * A lock that two processes of one machine can't hold at once, and that a crash releases. Where they are of two containers,
 * neither sees whether the other's process lives: then it counts as living, and a crash leaves a file to remove by hand. Each process puts a file of
 * its own name into the lock's folder and then looks who else is there: whoever finds a living process beside itself
 * withdraws. Of two that come at the same moment both may withdraw, and never do both stay. A file whose process has
 * ended may be removed by anybody, since no other process will ever have its name: there is no moment at which a stale
 * lock is taken over, and so none at which two take it over.
 * @module
 */
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { CountersignError } from '../errors.ts';
import { ensureFolder } from './plain-file.ts';

/**
 * `PID-START-BOOT-NAMESPACE-RANDOM`: a process id comes again, and so does a start time after a reboot; and each container
 * has process ids of its own.
 */
const HOLDER = /^(\d{1,10})-(\d*)-([0-9a-f]*)-(\d*)-[0-9a-f]{8}$/;

/** Milliseconds that an attempt waits for another's end, where nothing else is said. */
const WAIT_MS = 2000;

export class Lock {
  private readonly file: string;

  /**
   * Takes the lock, or throws `issuer-busy` where another still holds it after a while, and `authority-invalid` where what
   * is written here wouldn't belong to the owner of the folder around it.
   * @param folder the lock's own; made where there is none.
   */
  static async acquire(folder: string, waitMs = WAIT_MS): Promise<Lock> {
    const until = performance.now() + waitMs;
    for (;;) {
      try {
        return new Lock(folder);
      } catch (error) {
        const isBusy = error instanceof CountersignError && error.code === 'issuer-busy';
        if (!isBusy || performance.now() >= until) throw error;
      }
      // At random, so that two that have met don't meet again.
      await setTimeout(20 + Math.random() * 100);
    }
  }

  private constructor(folder: string) {
    const isNew = !existsSync(folder);
    ensureFolder(folder, 0o700);
    const parts = [process.pid, startOf(process.pid) ?? '', bootId(), namespace()];
    const own = [...parts, randomBytes(4).toString('hex')].join('-');
    this.file = join(folder, own);
    try {
      writeFileSync(this.file, '', { flag: 'wx', mode: 0o600 });
      refuseStranger(this.file, folder, isNew);
      for (const name of readdirSync(folder)) {
        if (name === own) continue;
        const holder = livingHolder(name);
        if (holder !== undefined) throw busy(holder, join(folder, name));
        rmSync(join(folder, name), { force: true });
      }
    } catch (error) {
      this.release();
      throw error;
    }
  }

  /** Lets go of it; a second time does nothing. */
  release(): void {
    rmSync(this.file, { force: true });
  }
}

/**
 * Root may write into everybody's folder, and what it leaves there is closed to the owner: an issuer that runs as its own
 * user would make no pass any more. Asked of a file, since on some sticks every file belongs to one user, whoever writes.
 */
function refuseStranger(file: string, folder: string, isNew: boolean): void {
  const { uid: writer } = statSync(file);
  const { uid: owner } = statSync(dirname(folder));
  if (writer === owner) return;
  rmSync(file);
  if (isNew) rmdirSync(folder);
  throw new CountersignError(
    'authority-invalid',
    `${dirname(folder)} belongs to the user with the number ${owner}, who couldn't read what this command writes as user ${writer}; run it as that one: sudo -u '#${owner}' …`,
  );
}

/** Who has the lock by a file's name, where that process still runs, or may do so. What isn't such a name counts as living. */
function livingHolder(name: string): string | undefined {
  const [, id, start, boot, ids] = HOLDER.exec(name) ?? [];
  if (id === undefined) return 'something unknown';
  if (boot !== bootId()) return undefined;
  if (ids !== namespace()) {
    return `process ${id} of another container, and from here nobody sees whether it has ended: if so, remove its file`;
  }
  const pid = Number(id);
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it runs, and belongs to somebody else.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return undefined;
  }
  const startNow = startOf(pid);
  return startNow === undefined || startNow === start ? `process ${pid}` : undefined;
}

/** When a process was started, in ticks since the boot; undefined where the system doesn't tell. */
function startOf(pid: number): string | undefined {
  try {
    // The name stands in brackets and may hold anything; the start is the 20th field after it (proc(5)).
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').pop()?.split(' ')[19];
  } catch {
    return undefined;
  }
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').replaceAll(/[^0-9a-f]/g, '');
  } catch {
    return '';
  }
}

/** Which process ids are meant: the number of their namespace (pid_namespaces(7)), or nothing where there are none. */
function namespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid').replaceAll(/\D/g, '');
  } catch {
    return '';
  }
}

function busy(who: string, file: string): CountersignError {
  return new CountersignError(
    'issuer-busy',
    `This issuer is in use by ${who} (${file}); two at once would issue twice. Wait, or stop it.`,
  );
}

/** Guards the ledger, and all that is decided by it. @param folder the issuer's. */
export function lockOf(folder: string): string {
  return join(folder, 'lock');
}

/** Held by what stays and makes passes as long as it lives; between them the ledger is free for others. */
export function watchLockOf(folder: string): string {
  return join(folder, 'lock-of-run');
}
