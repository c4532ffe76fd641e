/**
 * Refresh tokens, sessions and signing keys in SQLite.
 * @module
 */
import { SAME_ANSWER_FOR } from '../../accounts/refresh-token.ts';
import { STEP } from '../../accounts/second-factor.ts';
import type {
  RefreshToken,
  RefreshTokenChanges,
  RefreshTokenReader,
  Session,
  SessionChanges,
  SessionReader,
  SigningKey,
  SigningKeyChanges,
  SigningKeyReader,
} from '../../accounts/token-store.ts';
import {
  type RefreshTokenRow,
  readRefreshToken,
  readSession,
  readSigningKey,
  type SessionRow,
  type SigningKeyRow,
} from './account-rows.ts';
import type { Database, Statement } from './database.ts';

/** Rows deleted in one commit. */
const PURGE_ROWS = 1000;

/** Tables whose rows end by themselves, with their primary keys and the column that says when. */
const ENDING = [
  ['refresh_tokens', 'hash', 'expires_at'],
  ['sessions', 'hash', 'expires_at'],
  ['used_tickets', 'id', 'kept_until'],
  ['signing_keys', 'kid', 'verifies_until'],
] as const;

export class SqliteRefreshTokenReader implements RefreshTokenReader {
  private readonly select: Statement;
  private readonly selectOf: Statement;
  private readonly selectFamily: Statement;

  constructor(database: Database) {
    this.select = database.prepare('SELECT * FROM refresh_tokens WHERE hash = ?');
    this.selectOf = database.prepare(
      'SELECT * FROM refresh_tokens WHERE account = ? ORDER BY expires_at, hash',
    );
    this.selectFamily = database.prepare('SELECT 1 FROM refresh_tokens WHERE family = ? LIMIT 1');
  }

  find(hash: Buffer): RefreshToken | undefined {
    const row = this.select.get(hash) as RefreshTokenRow | undefined;
    return row && readRefreshToken(row);
  }

  of(account: string): RefreshToken[] {
    return (this.selectOf.all(account) as RefreshTokenRow[]).map(readRefreshToken);
  }

  hasFamily(family: string): boolean {
    return this.selectFamily.get(family) !== undefined;
  }
}

export class SqliteRefreshTokens extends SqliteRefreshTokenReader implements RefreshTokenChanges {
  private readonly insert: Statement;
  private readonly updateUsed: Statement;
  private readonly deleteFamily: Statement;
  private readonly deleteAll: Statement;

  constructor(database: Database) {
    super(database);
    this.insert = database.prepare(
      'INSERT INTO refresh_tokens (hash, family, account, generation, roles, expires_at) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.updateUsed = database.prepare(
      'UPDATE refresh_tokens SET used_at = ?, asked_by = ?, sealed_answer = ? WHERE hash = ? AND used_at IS NULL',
    );
    this.deleteFamily = database.prepare('DELETE FROM refresh_tokens WHERE family = ?');
    this.deleteAll = database.prepare('DELETE FROM refresh_tokens WHERE account = ?');
  }

  add({
    hash,
    family,
    account,
    generation,
    roles,
    expiresAt,
  }: Omit<RefreshToken, 'usedAt' | 'askedBy' | 'sealedAnswer'>): void {
    this.insert.run(hash, family, account, generation, roles ? JSON.stringify(roles) : null, expiresAt);
  }

  use(
    hash: Buffer,
    at: number,
    { askedBy, sealedAnswer }: Pick<RefreshToken, 'askedBy' | 'sealedAnswer'> = {},
  ): boolean {
    return this.updateUsed.run(at, askedBy ?? null, sealedAnswer ?? null, hash).changes === 1;
  }

  endFamily(family: string): void {
    this.deleteFamily.run(family);
  }

  endAll(account: string): void {
    this.deleteAll.run(account);
  }
}

export class SqliteSessionReader implements SessionReader {
  private readonly select: Statement;
  private readonly selectOf: Statement;

  constructor(database: Database) {
    this.select = database.prepare('SELECT * FROM sessions WHERE hash = ?');
    this.selectOf = database.prepare('SELECT * FROM sessions WHERE account = ? ORDER BY created_at, hash');
  }

  find(hash: Buffer): Session | undefined {
    const row = this.select.get(hash) as SessionRow | undefined;
    return row && readSession(row);
  }

  of(account: string): Session[] {
    return (this.selectOf.all(account) as SessionRow[]).map(readSession);
  }
}

export class SqliteSessions extends SqliteSessionReader implements SessionChanges {
  private readonly insert: Statement;
  private readonly delete: Statement;
  private readonly deleteAll: Statement;

  constructor(database: Database) {
    super(database);
    this.insert = database.prepare(
      'INSERT INTO sessions (hash, account, generation, created_at, expires_at) VALUES (?, ?, ?, ?, ?)',
    );
    this.delete = database.prepare('DELETE FROM sessions WHERE hash = ?');
    this.deleteAll = database.prepare('DELETE FROM sessions WHERE account = ?');
  }

  add({ hash, account, generation, createdAt, expiresAt }: Session): void {
    this.insert.run(hash, account, generation, createdAt, expiresAt);
  }

  end(hash: Buffer): void {
    this.delete.run(hash);
  }

  endAll(account: string): void {
    this.deleteAll.run(account);
  }
}

export class SqliteSigningKeyReader implements SigningKeyReader {
  private readonly select: Statement;

  constructor(database: Database) {
    this.select = database.prepare('SELECT * FROM signing_keys ORDER BY created_at DESC, kid');
  }

  list(): SigningKey[] {
    return (this.select.all() as SigningKeyRow[]).map(readSigningKey);
  }
}

export class SqliteSigningKeys extends SqliteSigningKeyReader implements SigningKeyChanges {
  private readonly insert: Statement;

  constructor(database: Database) {
    super(database);
    this.insert = database.prepare(
      `INSERT INTO signing_keys (kid, sealed_key, public_key, created_at, signs_until, verifies_until)
       VALUES (?, ?, ?, ?, ?, ?)`,
    );
  }

  add({ kid, sealedKey, publicKey, createdAt, signsUntil, verifiesUntil }: SigningKey): void {
    this.insert.run(kid, sealedKey, JSON.stringify(publicKey), createdAt, signsUntil, verifiesUntil);
  }
}

/** Tokens, sessions, tickets and keys that have ended by themselves, and answers that nobody gets any more. */
export class SqliteEndedTokens {
  private readonly statements: readonly Statement[];
  private readonly emptyAnswers: Statement;

  constructor(database: Database) {
    // The pair in it is good for longer than anybody may ask for it again.
    this.emptyAnswers = database.prepare(
      `UPDATE refresh_tokens SET sealed_answer = NULL WHERE hash IN
       (SELECT hash FROM refresh_tokens WHERE sealed_answer IS NOT NULL AND used_at < ? LIMIT ?)`,
    );
    this.statements = ENDING.map(([table, key, end]) =>
      database.prepare(
        `DELETE FROM ${table} WHERE ${key} IN (SELECT ${key} FROM ${table} WHERE ${end} <= ? LIMIT ?)`,
      ),
    );
  }

  /** Removes some of them. @returns how many rows went or were emptied. */
  purge(now: number): number {
    const emptied = this.emptyAnswers.run(now - SAME_ANSWER_FOR, PURGE_ROWS).changes;
    return this.statements.reduce(
      (gone, statement) => gone + statement.run(now, PURGE_ROWS).changes,
      emptied,
    );
  }
}

/**
 * Ends every token, session and ticket, and uses up every code until now. A backup doesn't know what was ended or used
 * since it was made; the generations go beyond all that came after it.
 * @param now epoch seconds.
 */
export function endAllLogins(database: Database, now: number): void {
  database.exec('DELETE FROM refresh_tokens; DELETE FROM sessions');
  database.prepare('UPDATE accounts SET generation = max(generation + 1, ?)').run(now);
  database.prepare('UPDATE second_factors SET last_step = max(last_step, ?)').run(Math.floor(now / STEP));
}
