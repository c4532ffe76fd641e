/**
 * The port for what was done: results by the message or the key that asked for them.
 * @module
 */

export interface DoneRecord {
  /** What the request was: method, target, digest and forwarded fields, hashed. */
  readonly fingerprint: string;
  /** `running`: begun and not known to have ended. */
  readonly status: 'running' | 'done';
  /** The result, sealed; undefined while it is running. */
  readonly sealedResult?: Buffer;
  /** Epoch seconds until which it is kept. */
  readonly keptUntil: number;
}

/** Inside a unit of work. */
export interface DoneRecords {
  find(id: string): DoneRecord | undefined | Promise<DoneRecord | undefined>;
  /** Inserts, or replaces a record that is running. */
  put(id: string, record: DoneRecord): void | Promise<void>;
  remove(id: string): void | Promise<void>;
}
