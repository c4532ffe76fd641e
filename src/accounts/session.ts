/**
 * Sessions of browsers: a random id in a cookie, of which only a hash is kept, and the token that shows that a call
 * was meant by the page that the session belongs to (cross-site request forgery).
 *
 * A session ends 12 hours after its login, or when it wasn't used for 30 minutes; with its account's generation; and
 * when it is ended. The cookie is `__Host-` (RFC 6265bis section 4.1.3.2): only this very origin's host can have set
 * it, over TLS or on a browser's own machine.
 * @module
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { CountersignError } from '../errors.ts';
import type { Account, AccountReader } from './account.ts';
import { standingAccount } from './generation.ts';
import type { Eventual, Session, SessionChanges } from './token-store.ts';

export const SESSION_COOKIE = '__Host-countersign';

/** Seconds: from the login, and without a call. */
export const SESSION_LIFE = 12 * 3600;
export const SESSION_IDLE = 30 * 60;
/** Seconds of use that may go unwritten: a session is prolonged once a minute at most. */
const GRAIN = 60;

const ID_BYTES = 32;
const ID = /^[A-Za-z0-9_-]{43}$/;
const ATTRIBUTES = 'Path=/; Secure; HttpOnly; SameSite=Strict';

/** What a login answers with: the session, and what its holder is given of it. */
export interface StartedSession {
  readonly session: Session;
  /** For Set-Cookie. A secret. */
  readonly setCookie: string;
  /** To be sent back as `Countersign-Csrf`. */
  readonly csrf: string;
  /** Seconds, if it isn't used. */
  readonly expiresIn: number;
}

/** What a cookie stands for. */
export interface FoundSession {
  readonly session: Session;
  readonly account: Account;
}

/** Draws a session, which is to be added where it is to count: see `startSession`. @param now epoch seconds. */
export function drawSession(
  { id, generation }: Pick<Account, 'id' | 'generation'>,
  now: number,
): StartedSession {
  const sessionId = randomBytes(ID_BYTES).toString('base64url');
  const session: Session = {
    hash: sessionHash(sessionId),
    account: id,
    generation,
    createdAt: now,
    expiresAt: now + SESSION_IDLE,
  };
  return {
    session,
    setCookie: `${SESSION_COOKIE}=${sessionId}; Max-Age=${SESSION_LIFE}; ${ATTRIBUTES}`,
    csrf: csrfToken(sessionId),
    expiresIn: SESSION_IDLE,
  };
}

/**
 * Starts a session in the unit of work of its login.
 * @param previous the session that the browser had before, if any: it ends, so that no id outlives a login.
 */
export async function startSession(
  tx: { readonly accounts: { readonly sessions: SessionChanges } },
  account: Pick<Account, 'id' | 'generation'>,
  now: number,
  previous?: Buffer,
): Promise<StartedSession> {
  const started = drawSession(account, now);
  if (previous) await tx.accounts.sessions.end(previous);
  await tx.accounts.sessions.add(started.session);
  return started;
}

/** For Set-Cookie: makes the browser forget the session. */
export function endedCookie(): string {
  return `${SESSION_COOKIE}=; Max-Age=0; ${ATTRIBUTES}`;
}

/** The session and its account; undefined where either doesn't stand any more. @param now epoch seconds. */
export async function findSession(
  accounts: Pick<AccountReader, 'find' | 'sessions'>,
  hash: Buffer,
  now: number,
): Promise<FoundSession | undefined> {
  const session = await accounts.sessions.find(hash);
  if (!session || session.expiresAt <= now) return undefined;
  const account = await standingAccount(accounts, session.account, session.generation);
  return account && { session, account };
}

/** Until when it is good if it is used now; undefined where what is written is near enough. */
export function prolonged({ createdAt, expiresAt }: Session, now: number): number | undefined {
  const end = Math.min(createdAt + SESSION_LIFE, now + SESSION_IDLE);
  return end - expiresAt >= GRAIN ? end : undefined;
}

/** Prolongs it in a unit of work; one that was ended meanwhile stays ended. */
export async function prolong(
  sessions: SessionChanges & { find(hash: Buffer): Eventual<Session | undefined> },
  hash: Buffer,
  expiresAt: number,
): Promise<void> {
  const session = await sessions.find(hash);
  if (!session || session.expiresAt >= expiresAt) return;
  await sessions.end(hash);
  await sessions.add({ ...session, expiresAt });
}

/**
 * The session's id in a Cookie field (RFC 6265 section 4.2.1); undefined where the cookie isn't in it. Cookies of
 * other names are nobody's affair here, however they are written.
 * @throws token-invalid where it stands there twice, or is nothing that a session ever was.
 */
export function readSessionCookie(field: string | undefined): string | undefined {
  if (field === undefined || !field.includes(SESSION_COOKIE)) return undefined;
  let found: string | undefined;
  for (const pair of field.split(';')) {
    const at = pair.indexOf('=');
    if (at === -1 || pair.slice(0, at).trim() !== SESSION_COOKIE) continue;
    // Of two, one reader takes the first and another the last.
    if (found !== undefined) throw invalidSession();
    found = pair.slice(at + 1).trim();
  }
  if (found !== undefined && !ID.test(found)) throw invalidSession();
  return found;
}

export function invalidSession(): CountersignError {
  return new CountersignError('token-invalid', 'This session is not good any more: log in again.');
}

/** What is kept of a session's id. */
export function sessionHash(sessionId: string): Buffer {
  return createHash('sha256').update(sessionId).digest();
}

/** Made from the id alone, which no other origin can read, and nobody can get back from the token. */
export function csrfToken(sessionId: string): string {
  return createHmac('sha256', sessionId).update('countersign-csrf').digest('base64url');
}

export function isCsrfToken(sessionId: string, token: string): boolean {
  const expected = Buffer.from(csrfToken(sessionId));
  const given = Buffer.from(token);
  return given.length === expected.length && timingSafeEqual(given, expected);
}
