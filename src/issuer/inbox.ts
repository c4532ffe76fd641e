/**
 * The inbox: `ID.csr`, `ID.json` and `ID.sig`, each put there under another name and renamed, `ID.sig` last, so that a
 * request is whole as soon as that lies there. A decided request leaves the inbox in the same order, so that `ID.sig`
 * marks to the end what isn't cleared away; a refused one goes to `rejected/`, where its reason lies before it does.
 * @module
 */
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CountersignError } from '../errors.ts';
import { syncFolder } from './folder.ts';
import { ensureFolder, publishFile, readPlainFile, stageFile } from './plain-file.ts';

/** Hidden files are drafts, of ours and of those who carry the files. */
const ID = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/;

/** Reasons of before that a reason keeps. The first ones: a request that is carried in once more is refused as decided. */
const MOST_EARLIER = 8;

const PARTS = ['csr', 'json', 'sig'] as const;

/** Seconds for which a refusal lies in `rejected/`. */
const KEPT_SECONDS = 30 * 24 * 3600;

/** The bytes of a request's three files. */
export interface RequestFiles {
  readonly csr: Buffer;
  readonly json: Buffer;
  readonly sig: Buffer;
}

export interface Reason {
  readonly code: string;
  readonly detail: string;
  readonly requester?: string | undefined;
  /** ISO 8601. */
  readonly at: string;
}

export interface Arrivals {
  /** Requests that are whole, by their ids. */
  readonly whole: readonly string[];
  /** Ids whose `ID.sig` lies there while another file is still missing. */
  readonly partial: readonly string[];
  /** Acknowledgements, by their ids: each is one file. */
  readonly acknowledgements: readonly string[];
  /** Files that end in `.sig` and whose name can't be a request's. */
  readonly unnamed: readonly string[];
}

export class Inbox {
  private readonly folder: string;

  /** `config-invalid` where there is no such folder. */
  constructor(folder: string) {
    refuseMissing(folder, 'inbox');
    this.folder = folder;
  }

  arrivals(): Arrivals {
    const files = new Set(readdirSync(this.folder));
    const whole: string[] = [];
    const partial: string[] = [];
    const acknowledgements: string[] = [];
    const unnamed: string[] = [];
    for (const file of [...files].sort()) {
      const acknowledged = file.endsWith('.ack') ? file.slice(0, -'.ack'.length) : '';
      if (ID.test(acknowledged)) acknowledgements.push(acknowledged);
      if (!file.endsWith('.sig') || file.startsWith('.')) continue;
      const id = file.slice(0, -'.sig'.length);
      // The files of the one would lie where the reason for another's refusal does.
      if (!ID.test(id) || id.endsWith('.reason')) unnamed.push(file);
      else if (PARTS.every((part) => files.has(`${id}.${part}`))) whole.push(id);
      else partial.push(id);
    }
    return { whole, partial, acknowledgements, unnamed };
  }

  /** `certificate-request-refused` for a file that is a link, no regular file, or larger than 64 KiB. */
  read(id: string): RequestFiles {
    const [csr, json, sig] = PARTS.map((part) => readPlainFile(this.pathOf(id, part)));
    return { csr, json, sig } as RequestFiles;
  }

  readAcknowledgement(id: string): Buffer {
    return readPlainFile(this.acknowledgement(id));
  }

  clearAcknowledgement(id: string): void {
    rmSync(this.acknowledgement(id), { force: true });
    syncFolder(this.folder);
  }

  rejectAcknowledgement(id: string, reason: Reason): void {
    this.putReason(id, { id, ...reason });
    moveIfThere(this.acknowledgement(id), join(this.rejected, `${id}.ack`));
    this.sync();
  }

  private acknowledgement(id: string): string {
    return join(this.folder, `${id}.ack`);
  }

  /**
   * Whether a decided request, or what is left of it, still lies here.
   * @param document SHA-256 of its `ID.json`, in hex: the id may have been used again.
   */
  holds(id: string, document: string): boolean {
    if (!isThere(this.pathOf(id, 'sig'))) return false;
    const json = this.pathOf(id, 'json');
    if (!isThere(json)) return true;
    try {
      return createHash('sha256').update(readPlainFile(json)).digest('hex') === document;
    } catch {
      return false;
    }
  }

  /** Removes what is left of a request that was answered. */
  clear(id: string): void {
    // A folder may have been put in a file's place meanwhile.
    for (const part of PARTS) rmSync(this.pathOf(id, part), { force: true, recursive: true });
    syncFolder(this.folder);
  }

  /** Moves a request, or what is left of it, to `rejected/`, with the reason beside it. */
  reject(id: string, reason: Reason): void {
    this.putReason(id, { id, ...reason });
    this.carryOff(id);
  }

  /** Whether a refusal of this id was begun: then its files may be divided between the two folders. */
  isHalfRejected(id: string): boolean {
    return existsSync(join(this.rejected, reasonOf(id))) && existsSync(join(this.rejected, `${id}.csr`));
  }

  /** Ends a refusal that was begun. */
  carryOff(id: string): void {
    for (const part of PARTS) moveIfThere(this.pathOf(id, part), join(this.rejected, `${id}.${part}`));
    this.sync();
  }

  /** Moves a file whose name can't be a request's, under a name that can. @returns that name. */
  rejectUnnamed(file: string, reason: Reason): string {
    const id = nameInstead(file);
    this.putReason(id, { file, ...reason });
    moveIfThere(join(this.folder, file), join(this.rejected, `${id}.sig`));
    this.sync();
    return id;
  }

  /** Removes refusals of 30 days ago and before, with their files. @param now epoch seconds. Errors of the system as they are. */
  clearRejected(now: number): void {
    // A link may lead to what isn't ours.
    if (!lstatSync(this.rejected, { throwIfNoEntry: false })?.isDirectory()) return;
    for (const file of readdirSync(this.rejected)) {
      const id = file.slice(0, -REASON.length);
      if (!file.endsWith(REASON) || !this.isOutdated(id, now)) continue;
      // The reason last: without it nobody knows what the others are.
      for (const each of [...PARTS.map((part) => `${id}.${part}`), `${id}.ack`, file]) {
        rmSync(join(this.rejected, each), { force: true, recursive: true });
      }
    }
  }

  /** Whether we wrote the reason for this id, 30 days ago or before. */
  private isOutdated(id: string, now: number): boolean {
    try {
      const reason = JSON.parse(readPlainFile(join(this.rejected, reasonOf(id))).toString('utf8'));
      const isOurs = reason.id === id || nameInstead(String(reason.file)) === id;
      return isOurs && Date.parse(reason.at) / 1000 + KEPT_SECONDS <= now;
    } catch {
      return false;
    }
  }

  private get rejected(): string {
    return join(this.folder, 'rejected');
  }

  private pathOf(id: string, part: (typeof PARTS)[number]): string {
    return join(this.folder, `${id}.${part}`);
  }

  private putReason(id: string, reason: Readonly<Record<string, unknown>>): void {
    ensureFolder(this.rejected, 0o755);
    const earlier = this.reasonsBefore(id, reason);
    const whole = { ...reason, ...(earlier.length > 0 && { earlier }) };
    stageFile(this.rejected, reasonOf(id), `${JSON.stringify(whole, null, 2)}\n`);
    publishFile(this.rejected, reasonOf(id));
  }

  /**
   * Why this id was refused before, oldest first: a second refusal would hide what is to be mended. The same one told
   * again, as a pass does that ends a refusal which was cut off, is no further one.
   */
  private reasonsBefore(id: string, reason: Readonly<Record<string, unknown>>): unknown[] {
    let before: { earlier?: unknown; code?: unknown; detail?: unknown };
    try {
      before = JSON.parse(readPlainFile(join(this.rejected, reasonOf(id))).toString('utf8')) ?? {};
    } catch {
      // There is none, or others have put something in its place, which gives way.
      return [];
    }
    const { earlier, ...last } = before;
    const older = Array.isArray(earlier) ? earlier : [];
    const isSame = last.code === reason.code && last.detail === reason.detail;
    return (isSame ? older : [...older, last]).slice(0, MOST_EARLIER);
  }

  private sync(): void {
    syncFolder(this.rejected);
    syncFolder(this.folder);
  }
}

const REASON = '.reason.json';

function reasonOf(id: string): string {
  return `${id}${REASON}`;
}

function nameInstead(file: string): string {
  return `unnamed-${createHash('sha256').update(file).digest('hex').slice(0, 16)}`;
}

/** A link is moved, not what it points to. */
function moveIfThere(from: string, to: string): void {
  if (!isThere(from)) return;
  // What was refused before under this name gives way; a folder wouldn't by itself.
  rmSync(to, { force: true, recursive: true });
  renameSync(from, to);
}

/** Also a link that leads nowhere. */
function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** `config-invalid` where a folder isn't there: a stick that isn't in, a share that isn't mounted. */
export function refuseMissing(folder: string, what: 'inbox' | 'outbox'): void {
  if (existsSync(folder)) return;
  throw new CountersignError(
    'config-invalid',
    `There is no ${what} ${folder}; make the folder, or mount what it lies on.`,
  );
}
