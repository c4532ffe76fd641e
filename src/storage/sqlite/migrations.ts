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
];
