/**
 * What is kept of tokens: refresh tokens and sessions by their hashes, and the keys that sign access tokens. Part of
 * the port of account.ts. An access token is kept nowhere.
 * @module
 */

/** An adapter may answer at once or later. */
export type Eventual<T> = T | Promise<T>;

/** Times are whole seconds since the epoch. */
export interface RefreshToken {
  /** SHA-256 of the token. */
  readonly hash: Buffer;
  /** Random; shared by a token and all that came of refreshing it. */
  readonly family: string;
  readonly account: string;
  /** The account's, when it was issued. */
  readonly generation: number;
  /** The roles that were asked for; undefined for all that the account has. */
  readonly roles?: readonly string[];
  readonly expiresAt: number;
  readonly usedAt?: number;
  /** A hash of the Idempotency-Key that it was used with. */
  readonly askedBy?: Buffer;
  /** What was answered, sealed by the key vault. */
  readonly sealedAnswer?: Buffer;
}

export interface RefreshTokenReader {
  /** Used ones too, until they expire: a second use must be told from a guess. */
  find(hash: Buffer): Eventual<RefreshToken | undefined>;
  /** In the order of their ends. */
  of(account: string): Eventual<RefreshToken[]>;
  /** Whether any of the family is kept: false from the moment at which it was ended. */
  hasFamily(family: string): Eventual<boolean>;
}

export interface RefreshTokenChanges {
  add(token: Omit<RefreshToken, 'usedAt' | 'askedBy' | 'sealedAnswer'>): Eventual<void>;
  /** Uses it up. @returns false where there is none such, or it was used before: nothing changes then. */
  use(hash: Buffer, at: number, answer?: Pick<RefreshToken, 'askedBy' | 'sealedAnswer'>): Eventual<boolean>;
  /** Removes the family. */
  endFamily(family: string): Eventual<void>;
  endAll(account: string): Eventual<void>;
}

export interface Session {
  /** SHA-256 of what the cookie holds. */
  readonly hash: Buffer;
  readonly account: string;
  /** The account's, when it began. */
  readonly generation: number;
  readonly createdAt: number;
  readonly expiresAt: number;
}

export interface SessionReader {
  /** One that has expired may still be found. */
  find(hash: Buffer): Eventual<Session | undefined>;
  /** In the order of their beginnings. */
  of(account: string): Eventual<Session[]>;
}

export interface SessionChanges {
  add(session: Session): Eventual<void>;
  /** Nothing happens where there is none. */
  end(hash: Buffer): Eventual<void>;
  endAll(account: string): Eventual<void>;
}

/** One of the keys that sign access tokens, one after the other. */
export interface SigningKey {
  readonly kid: string;
  /** Sealed by the key vault. */
  readonly sealedKey: Buffer;
  /** A JWK (RFC 7517). */
  readonly publicKey: Readonly<Record<string, unknown>>;
  readonly createdAt: number;
  /** Nothing is signed with it from then on. */
  readonly signsUntil: number;
  /** Nothing that it signed is accepted from then on. */
  readonly verifiesUntil: number;
}

export interface SigningKeyReader {
  /** The newest comes first. */
  list(): Eventual<SigningKey[]>;
}

export interface SigningKeyChanges {
  add(key: SigningKey): Eventual<void>;
}
