/**
 * The schema, one migration a version. What has been released is never edited; a change is a new entry.
 * @module
 */
export const migrations: readonly string[] = [
  `
  CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value ANY NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE data_keys (
    version INTEGER PRIMARY KEY,
    wrapped BLOB NOT NULL
  ) STRICT;

  CREATE TABLE consumers (
    name TEXT PRIMARY KEY,
    roles TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    disabled_at INTEGER
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE keys (
    keyid TEXT PRIMARY KEY,
    consumer TEXT NOT NULL REFERENCES consumers (name),
    sealed_secret BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    revoked_at INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX keys_by_consumer ON keys (consumer);

  -- Followed by every process before its verdicts: what was changed since it last looked.
  CREATE TABLE changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    consumer TEXT NOT NULL
  ) STRICT;

  -- One row holds the nonces that one turn of one process claimed: 20 bytes each (replay/nonce-window.ts).
  -- expires is the latest of them. There is no unique index: each process holds the window in memory.
  CREATE TABLE nonces (
    id INTEGER PRIMARY KEY,
    expires INTEGER NOT NULL,
    entries BLOB NOT NULL
  ) STRICT;
  CREATE INDEX nonces_by_expiry ON nonces (expires);
  `,
  `
  -- A pseudonymous id: what the audit record and the log say of a consumer, also after it was removed.
  ALTER TABLE consumers ADD COLUMN id TEXT NOT NULL DEFAULT '';
  UPDATE consumers SET id = lower(hex(randomblob(12)));
  CREATE UNIQUE INDEX consumers_by_id ON consumers (id);
  -- Raised by every change: the entity tag of the management API.
  ALTER TABLE consumers ADD COLUMN version INTEGER NOT NULL DEFAULT 1;

  ALTER TABLE keys ADD COLUMN label TEXT;
  -- JSON lists; NULL where there is no such limit.
  ALTER TABLE keys ADD COLUMN role_subset TEXT;
  ALTER TABLE keys ADD COLUMN allow TEXT;
  -- When an operator last issued this line of keys: a consumer may rotate by itself for a year from then.
  ALTER TABLE keys ADD COLUMN vouched_at INTEGER NOT NULL DEFAULT 0;
  UPDATE keys SET vouched_at = created_at;
  ALTER TABLE keys ADD COLUMN successor TEXT;

  -- Written in batches, never on the path of a call.
  CREATE TABLE key_usage (
    keyid TEXT PRIMARY KEY,
    last_used INTEGER NOT NULL,
    calls INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  -- A role that a consumer asked for, and what became of it.
  CREATE TABLE grants (
    id TEXT PRIMARY KEY,
    consumer TEXT NOT NULL REFERENCES consumers (name) ON DELETE CASCADE,
    role TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('requested', 'granted', 'denied')),
    requested_at INTEGER NOT NULL,
    decided_at INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX grants_by_consumer ON grants (consumer);

  -- What was done, by the message or the key that asked for it (idempotency/records.ts).
  CREATE TABLE records (
    id TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'done')),
    sealed_result BLOB,
    kept_until INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX records_by_end ON records (kept_until);

  CREATE TABLE audit_keys (
    version INTEGER PRIMARY KEY,
    wrapped BLOB NOT NULL
  ) STRICT;

  -- Chained: mac is over the row before and every column of this one (audit/audit.ts).
  CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    key_version INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT,
    keyid TEXT,
    request_id TEXT,
    mac BLOB NOT NULL
  ) STRICT;
  CREATE INDEX audit_by_keyid ON audit (keyid);
  `,
];
