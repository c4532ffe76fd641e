/**
 * The audit record: what was decided, by whom, and why. The port; its chain is in chain.ts.
 * @module
 */

/** What is recorded. Never a secret; of a call nothing but its route: no path, header field or body. */
export interface AuditEvent {
  /**
   * Who: a pseudonymous id (`Consumer.id`), `cli` for whoever holds the data folder, or `gateway` for what it sums up
   * by itself.
   */
  readonly actor: string;
  /** What, in the form `noun.verb`, such as `key.revoke`; `call.refused` for a refusal after a good MAC. */
  readonly action: string;
  /** What it was done to: a consumer's name, a keyid, a route. */
  readonly subject: string;
  /** Why, or how: the code of a refusal, the fields that were changed. */
  readonly detail?: Readonly<Record<string, unknown>>;
  readonly keyid?: string;
  readonly requestId?: string;
}

/** A row of the record. `seq` counts from 1 without gaps; `at` is in epoch seconds. */
export interface AuditRow extends Omit<AuditEvent, 'detail'> {
  /** JSON, as it is stored. */
  readonly detail?: string;
  readonly seq: number;
  readonly at: number;
  /** The audit key that the MAC was made with. */
  readonly keyVersion: number;
  readonly mac: Buffer;
}

/** A row as the chain sees it, whatever has become of it. */
export interface ChainLink {
  readonly seq: number;
  readonly keyVersion: number;
  /** The exact bytes of its columns, from `linkContent`. */
  readonly content: Buffer;
  /** Empty where the column holds something else than bytes. */
  readonly mac: Buffer;
}

/** Inside a unit of work: what can't be recorded isn't done. */
export interface AuditTrail {
  append(event: AuditEvent): void | Promise<void>;
}

/** The end of the chain, to be kept elsewhere (it goes to the log): a chain that is shorter has been cut. */
export interface AuditHead {
  /** 0 where there is no row yet. */
  readonly seq: number;
  /** Base64; empty where there is no row yet. */
  readonly mac: string;
}

export interface AuditReader {
  head(): AuditHead;
  /** In order. Rows that are appended meanwhile may be among them. */
  rows(filter?: AuditFilter): Iterable<AuditRow>;
  /** Every row, or those behind `after`, in order and unread: for verifying. */
  links(after?: number): Iterable<ChainLink>;
}

export interface AuditFilter {
  /** A `seq`: rows behind it alone. */
  readonly after?: number;
  readonly keyid?: string;
  /** Whom it is about: rows that name one of these as who did it or what it was done to. */
  readonly about?: readonly string[];
  /** Epoch seconds. */
  readonly since?: number;
  /** Of all these, so many of the newest. */
  readonly newest?: number;
}
