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

  -- What was used of quotas (limits/quotas.ts). since and ends are in milliseconds; from ends on a row says nothing.
  CREATE TABLE quota_uses (
    counter TEXT PRIMARY KEY,
    since INTEGER NOT NULL,
    used REAL NOT NULL,
    ends INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX quota_uses_by_end ON quota_uses (ends);
  `,
  `
  -- A record may be of work that ran outside the transaction (idempotency/operations.ts).
  CREATE TABLE kept_records (
    id TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'done', 'unknown')),
    owner TEXT,
    sealed_result BLOB,
    begun_at INTEGER NOT NULL,
    ended_at INTEGER,
    runs_until INTEGER,
    kept_until INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  INSERT INTO kept_records (id, fingerprint, status, sealed_result, begun_at, kept_until)
    SELECT id, fingerprint, status, sealed_result, unixepoch(), kept_until FROM records;
  DROP TABLE records;
  ALTER TABLE kept_records RENAME TO records;
  CREATE INDEX records_by_end ON records (kept_until);

  -- Documents of endpoints that a host program adds (idempotency/state.ts).
  CREATE TABLE state (
    collection TEXT NOT NULL,
    id TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (collection, id)
  ) STRICT, WITHOUT ROWID;

  -- Effects that are still to be delivered (idempotency/outbox.ts). due_at and leased_until are in milliseconds. An id
  -- never comes again, so that nobody ends the lease of another message.
  CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    sealed_payload BLOB NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER NOT NULL DEFAULT 0,
    lease TEXT,
    leased_until INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX outbox_by_topic ON outbox (topic, id);
  `,
  `
  -- A key may be bound to a client certificate, by its URI name.
  ALTER TABLE keys ADD COLUMN certificate_uri TEXT;

  -- Client certificates that count for nothing any more. After kept_until they have ended by themselves.
  CREATE TABLE denied_certificates (
    serial TEXT PRIMARY KEY,
    denied_at INTEGER NOT NULL,
    kept_until INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  -- People. id is random, and all that log and audit know of one. What is personal is sealed: a stolen file tells
  -- nothing of anybody, and no password can be guessed with it. email_key is a keyed hash, for finding an address.
  CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    consumer TEXT UNIQUE,
    email_key TEXT NOT NULL UNIQUE,
    -- Names, address and password hash (storage/sqlite/account-rows.ts).
    sealed_person BLOB NOT NULL,
    email_confirmed_at INTEGER,
    roles TEXT NOT NULL,
    -- Raised to end every token and session of the account.
    generation INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    disabled_at INTEGER,
    version INTEGER NOT NULL DEFAULT 1
  ) STRICT, WITHOUT ROWID;

  -- The second factor. last_step is the newest time step whose code was used (RFC 6238).
  CREATE TABLE second_factors (
    account TEXT PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    sealed_secret BLOB NOT NULL,
    confirmed_at INTEGER,
    last_step INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE recovery_codes (
    account TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    hash BLOB NOT NULL,
    used_at INTEGER,
    PRIMARY KEY (account, hash)
  ) STRICT, WITHOUT ROWID;

  -- Each is used once, and replaced by the next of its family.
  CREATE TABLE refresh_tokens (
    hash BLOB PRIMARY KEY,
    family TEXT NOT NULL,
    account TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    roles TEXT,
    expires_at INTEGER NOT NULL,
    used_at INTEGER,
    -- For the same refresh again: a hash of the Idempotency-Key that it came with, and the sealed answer.
    asked_by BLOB,
    sealed_answer BLOB
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family);
  CREATE INDEX refresh_tokens_by_account ON refresh_tokens (account);
  CREATE INDEX refresh_tokens_by_end ON refresh_tokens (expires_at);

  CREATE TABLE sessions (
    hash BLOB PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX sessions_by_account ON sessions (account);
  CREATE INDEX sessions_by_end ON sessions (expires_at);

  -- Tickets that were used: each is good once.
  CREATE TABLE used_tickets (
    id TEXT PRIMARY KEY,
    kept_until INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX used_tickets_by_end ON used_tickets (kept_until);

  -- Pseudonymous ids: whose call a record is of, and whom or what it changed. It is erased with either.
  ALTER TABLE records ADD COLUMN actor TEXT;
  ALTER TABLE records ADD COLUMN subject TEXT;
  CREATE INDEX records_by_actor ON records (actor) WHERE actor IS NOT NULL;
  CREATE INDEX records_by_subject ON records (subject) WHERE subject IS NOT NULL;
  ALTER TABLE outbox ADD COLUMN subject TEXT;
  CREATE INDEX audit_by_actor ON audit (actor);
  CREATE INDEX audit_by_subject ON audit (subject);
  CREATE INDEX outbox_by_subject ON outbox (subject) WHERE subject IS NOT NULL;

  -- Keys that sign access tokens (Ed25519), one after the other. public_key is a JWK.
  CREATE TABLE signing_keys (
    kid TEXT PRIMARY KEY,
    sealed_key BLOB NOT NULL,
    public_key TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    signs_until INTEGER NOT NULL,
    verifies_until INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- A purge empties them long before their rows go, and finds them so without reading all of a month.
  CREATE INDEX refresh_tokens_by_use ON refresh_tokens (used_at) WHERE sealed_answer IS NOT NULL;
  `,
];
