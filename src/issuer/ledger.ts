/**
 * The issuer's ledger: JSON lines, each with the hash of the one before, synced before what it speaks of leaves the box.
 * @module
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type Clock, epochSeconds } from '../clock.ts';
import { CountersignError } from '../errors.ts';
import { ROOT_FILE, syncFolder } from './folder.ts';

/** What happened; `event` names the kind (`root`, `issue`, `reject`, `enrol`, …), the rest is of that kind. */
export interface LedgerEvent {
  readonly event: string;
  readonly [member: string]: unknown;
}

export interface LedgerRow extends LedgerEvent {
  /** From 1, without a gap. */
  readonly seq: number;
  /** Epoch seconds; never less than in the row before. */
  readonly at: number;
  /** The hash of the row before, hex; of the first, 64 zeros. */
  readonly prev: string;
  /** SHA-256 of the row's JSON without this member, hex. It is the last member of its line. */
  readonly hash: string;
}

/** Seconds after the newest row from which on a clock is believed only at somebody's word. */
export const LONGEST_SILENCE = 24 * 3600;

const FIRST = '0'.repeat(64);
const CHUNK_BYTES = 64 * 1024;
/** No row is near this; a file without line ends is no ledger. */
const MOST_ROW_BYTES = 1024 * 1024;
const LINE = /^(\{.*),"hash":"([0-9a-f]{64})"\}$/s;
const OWN_MEMBERS = ['seq', 'at', 'prev', 'hash'];

/**
 * Not for two at once: hold the issuer's lock while you append. A chain shows what was changed, put in or left out in it;
 * a tail that was cut off shows in `ca verify`, against the certificates that are out there.
 */
export class Ledger {
  static readonly file = 'ledger.jsonl';
  readonly #file: string;
  #last: LedgerRow | undefined;
  /** Bytes of the whole rows. */
  #length = 0;
  /** Bytes of a row after them that a power loss cut off. Nothing that it spoke of has left the box. */
  #torn = 0;

  /** Reads and checks the whole file; one that isn't there is empty, but beside a root. `ledger-broken` with the row. */
  constructor(dir: string) {
    this.#file = join(dir, Ledger.file);
    for (const { row, end, torn } of this.#read()) {
      this.#last = row;
      this.#length = end;
      this.#torn = torn;
    }
    // Without it, whatever was answered would be answered again, and any clock believed.
    if (!this.#last && existsSync(join(dir, ROOT_FILE))) {
      throw broken(
        `${this.#file} is gone or empty, and the root beside it has begun one: put it back from your copy. Where ca init was cut off, remove the folder and begin again.`,
      );
    }
  }

  get last(): LedgerRow | undefined {
    return this.#last;
  }

  /** Every row from the file, the oldest first, checked again. `ledger-broken`. */
  *rows(): Generator<LedgerRow> {
    for (const { row } of this.#read()) if (row) yield row;
  }

  /**
   * Appends a row and syncs it. `clock-untrusted` where the clock stands before the newest row, `issuer-busy` where
   * another process has appended since, `ledger-broken` where the row can't be written: then it isn't there.
   */
  append(event: LedgerEvent, clock: Clock): LedgerRow {
    const own = OWN_MEMBERS.find((member) => member in event);
    if (own !== undefined) throw new TypeError(`a ledger event can't have a member ${own}`);
    this.#checkStep(clock);
    const { seq = 0, hash: prev = FIRST } = this.#last ?? {};
    const body = { seq: seq + 1, at: epochSeconds(clock), ...event, prev };
    const text = JSON.stringify(body);
    const hash = sha256(text);
    this.#write(`${text.slice(0, -1)},"hash":"${hash}"}\n`);
    this.#last = { ...body, hash };
    return this.#last;
  }

  /** `clock-untrusted` before the newest row, or, unless that is accepted, more than 24 h after it. */
  checkClock(clock: Clock, isAccepted = false): void {
    this.#checkStep(clock);
    const at = this.#last?.at;
    const now = epochSeconds(clock);
    if (at === undefined || isAccepted || now - at <= LONGEST_SILENCE) return;
    throw untrusted(
      `The clock says ${timeText(now)}, more than 24 h after the newest row of the ledger, ${timeText(at)}. If the clock is right, say --accept-clock.`,
    );
  }

  #checkStep(clock: Clock): void {
    const at = this.#last?.at;
    const now = epochSeconds(clock);
    if (at === undefined || now >= at) return;
    throw untrusted(
      `The clock says ${timeText(now)}, before the newest row of the ledger, ${timeText(at)}: set the clock. Nothing was issued.`,
    );
  }

  #write(line: string): void {
    const bytes = Buffer.from(line);
    const isNew = this.#last === undefined;
    let descriptor: number | undefined;
    try {
      descriptor = openSync(this.#file, 'a', 0o600);
      if (fstatSync(descriptor).size !== this.#length + this.#torn) {
        throw new CountersignError('issuer-busy', `Another process has written to ${this.#file}: try again.`);
      }
      ftruncateSync(descriptor, this.#length);
      this.#torn = 0;
      try {
        for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
        fsyncSync(descriptor);
      } catch (error) {
        ftruncateSync(descriptor, this.#length);
        throw error;
      }
      if (isNew) syncFolder(join(this.#file, '..'));
      this.#length += bytes.length;
    } catch (error) {
      if (error instanceof CountersignError) throw error;
      throw broken(`${this.#file} can't be written: ${(error as Error).message}. Nothing was issued.`);
    } finally {
      if (descriptor !== undefined) closeSync(descriptor);
    }
  }

  /** @returns each row and where it ends, and at the end what is left after the last line end. */
  *#read(): Generator<{ row: LedgerRow | undefined; end: number; torn: number }> {
    let last: LedgerRow | undefined;
    let end = 0;
    for (const { line, isWhole } of linesOf(this.#file)) {
      if (!isWhole) {
        yield { row: last, end, torn: line.length };
        return;
      }
      end += line.length + 1;
      last = this.#check(line.toString('utf8'), last);
      yield { row: last, end, torn: 0 };
    }
  }

  #check(line: string, before: LedgerRow | undefined): LedgerRow {
    const seq = (before?.seq ?? 0) + 1;
    const fault = (why: string) => broken(`${this.#file} is broken at row ${seq}: ${why}.`, seq);
    const [, head, hash = ''] = LINE.exec(line) ?? [];
    if (head === undefined) throw fault('it is no row');
    const text = `${head}}`;
    if (sha256(text) !== hash) throw fault('it was changed');
    const row = { ...JSON.parse(text), hash } as LedgerRow;
    if (row.prev !== (before?.hash ?? FIRST) || row.seq !== seq)
      throw fault('it does not follow the one before');
    if (!Number.isSafeInteger(row.at) || row.at < (before?.at ?? 0)) throw fault('its time runs backward');
    return row;
  }
}

/** Lines without their ends; `isWhole` is false for what the file ends with after its last line end. */
function* linesOf(file: string): Generator<{ line: Buffer; isWhole: boolean }> {
  const descriptor = openExisting(file);
  if (descriptor === undefined) return;
  try {
    let rest: Buffer = Buffer.alloc(0);
    const chunk = Buffer.alloc(CHUNK_BYTES);
    for (let count = readSync(descriptor, chunk); count > 0; count = readSync(descriptor, chunk)) {
      let from = 0;
      const text = Buffer.concat([rest, chunk.subarray(0, count)]);
      for (let to = text.indexOf(10); to >= 0; to = text.indexOf(10, from)) {
        yield { line: text.subarray(from, to), isWhole: true };
        from = to + 1;
      }
      rest = text.subarray(from);
      if (rest.length > MOST_ROW_BYTES) throw broken(`${file} is no ledger: it has a line without an end.`);
    }
    if (rest.length > 0) yield { line: rest, isWhole: false };
  } finally {
    closeSync(descriptor);
  }
}

function openExisting(file: string): number | undefined {
  try {
    return openSync(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw broken(`${file} can't be read: ${(error as Error).message}.`);
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function timeText(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

function untrusted(detail: string): CountersignError {
  return new CountersignError('clock-untrusted', detail);
}

function broken(detail: string, row?: number): CountersignError {
  return new CountersignError('ledger-broken', detail, row === undefined ? {} : { members: { row } });
}
