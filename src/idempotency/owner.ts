/**
 * Whose work a record stands for: a process, named so that another on the same machine can tell whether it still
 * lives. Process ids come again, so that the moment of its start and the machine's boot belong to the name.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { readBootId } from '../replay/fence.ts';

/** A name as it stands in a record. */
export type OwnerName = string;

interface ProcessName {
  readonly boot: string;
  /** Process ids mean something within their namespace alone: two containers may share a folder. */
  readonly namespace: string;
  readonly pid: number;
  /** In the kernel's ticks since the boot; empty where it can't be read. */
  readonly started: string;
}

/** Names the work of one gateway: this process, and what tells it from another gateway in it. */
export class Owner {
  private readonly prefix: string;
  private readonly own: ProcessName;
  private readonly underWay = new Set<OwnerName>();
  private readonly waiting: (() => void)[] = [];
  private attempts = 0;

  constructor() {
    this.own = {
      boot: readBootId() ?? '',
      namespace: namespaceOf('self'),
      pid: process.pid,
      started: startOf(process.pid),
    };
    const { boot, namespace, pid, started } = this.own;
    this.prefix = `${[boot, namespace, pid, started, randomBytes(9).toString('base64url')].join(' ')} `;
  }

  /** A name for one attempt, which is under way from now on. */
  begin(): OwnerName {
    const name = this.prefix + String(++this.attempts);
    this.underWay.add(name);
    return name;
  }

  end(name: OwnerName): void {
    this.underWay.delete(name);
    if (this.underWay.size === 0) for (const resolve of this.waiting.splice(0)) resolve();
  }

  /** Resolves when nothing is under way. */
  idle(): Promise<void> {
    if (this.underWay.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /** Whether this very attempt may still be running. Exact for this process, and for others where they can be seen. */
  mayRun(name: OwnerName): boolean {
    if (name.startsWith(this.prefix)) return this.underWay.has(name);
    return !isGone(readName(name), this.own);
  }
}

function readName(name: OwnerName): ProcessName {
  const [boot = '', namespace = '', pid = '', started = ''] = name.split(' ');
  return { boot, namespace, pid: Number(pid), started };
}

/** False where it can't be told. */
function isGone(other: ProcessName, own: ProcessName): boolean {
  if (other.boot === '' || own.boot === '') return false;
  if (other.boot !== own.boot) return true;
  if (other.namespace !== own.namespace) return false;
  if (own.started !== '') return startOf(other.pid) !== other.started;
  try {
    process.kill(other.pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

function namespaceOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return '';
  }
}

/** Field 22 of `/proc/PID/stat` (proc_pid_stat(5)); the name before it may hold spaces and brackets. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie does nothing any more.
    return fields[0] === 'Z' ? '' : (fields[19] ?? '');
  } catch {
    return '';
  }
}
