/**
 * The port for what was done: results by the message or the key that asked for them.
 * @module
 */

export interface DoneRecord {
  /** What the request was: method, target, digest and forwarded fields, hashed. */
  readonly fingerprint: string;
  /**
   * `running`: begun and not known to have ended. `unknown`: it ended, and nobody knows whether it took effect. Work
   * that commits with its record is only ever `done`.
   */
  readonly status: 'running' | 'done' | 'unknown';
  /** Whose running it is (`OwnerName`); undefined for work that committed with its record. */
  readonly owner?: string;
  /** The result, sealed; undefined unless it is done. */
  readonly sealedResult?: Buffer;
  /** Epoch seconds. */
  readonly begunAt: number;
  /** Epoch seconds; undefined while it is running. */
  readonly endedAt?: number;
  /** Epoch seconds after which it can't be running any more; undefined where it never was. */
  readonly runsUntil?: number;
  /** Pseudonymous ids: whose call it was, and whom it changed. It goes with either. */
  readonly actor?: string;
  readonly subject?: string;
  /** Epoch seconds until which it is kept. */
  readonly keptUntil: number;
}

/** What is committed, as anybody may see it. */
export interface DoneRecordReader {
  find(id: string): DoneRecord | undefined | Promise<DoneRecord | undefined>;
  /** How many records there are of somebody's calls, and of calls that changed them. */
  countOf(person: string): number | Promise<number>;
}

/** Inside a unit of work. */
export interface DoneRecords extends Pick<DoneRecordReader, 'find'> {
  /** Inserts or replaces. */
  put(id: string, record: DoneRecord): void | Promise<void>;
  remove(id: string): void | Promise<void>;
  /** Removes every record of somebody's calls, and of calls that changed them. */
  forget(person: string): void | Promise<void>;
}
