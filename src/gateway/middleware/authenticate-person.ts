/**
 * Lets people in, by a token, a session or a password: whoever calls without a signature. What yields a caller is the
 * account as it stands now, so a change is in force at the next call in every process.
 *
 * A credential that is presented and fails is a refusal, and so is one that the route doesn't name. The session cookie
 * alone is overlooked where it isn't asked for, since browsers send it everywhere.
 * @module
 */

import type { AccessTokens } from '../../accounts/access-token.ts';
import type { Account } from '../../accounts/account.ts';
import type { Logins } from '../../accounts/login.ts';
import {
  csrfToken,
  findSession,
  invalidSession,
  prolong,
  prolonged,
  readSessionCookie,
  sessionHash,
} from '../../accounts/session.ts';
import type { Session } from '../../accounts/token-store.ts';
import { type Clock, epochSeconds } from '../../clock.ts';
import { CountersignError } from '../../errors.ts';
import type { CommitGroup } from '../../storage/unit-of-work.ts';
import { type CallState, type Person, type PersonalKind, type Stage, takes } from '../call.ts';
import { challengeOf, isConfidential, namesOf, offered, withChallenge } from '../challenge.ts';
import { checkCrossSite } from '../cross-site.ts';
import { contextOf, type PersonReader } from '../person.ts';

/** How people are known. */
export interface People {
  readonly accounts: PersonReader;
  readonly accessTokens: Pick<AccessTokens, 'verify'>;
  /** A password that is to open one call is judged, and slowed, as one that opens a login. */
  readonly logins: Pick<Logins, 'judge'>;
}

export interface AuthenticatePersonParts {
  readonly clock: Clock;
  readonly people: People;
  readonly commitGroup: CommitGroup;
}

export interface PasswordGiven {
  readonly email: string;
  readonly password: string;
}

type Presented = { readonly kind: PersonalKind; readonly value: string };

/** A person, and the account that was found for it. */
interface Known {
  readonly person: Person;
  readonly account: Pick<Account, 'id' | 'roles'>;
  readonly session?: Session;
}

const BEARER = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i;
const BASIC = /^Basic +([A-Za-z0-9+/]+={0,2})$/i;

const utf8 = new TextDecoder('utf-8', { fatal: true });

export function authenticatePerson({ clock, people, commitGroup }: AuthenticatePersonParts): Stage {
  const { accounts, accessTokens, logins } = people;
  // Not async itself: a signed call goes on without another promise.
  return function authenticatePerson(ctx, next) {
    const { state } = ctx;
    const { route, verified } = state;
    if (verified || route.probe || route.unrouted) return next();
    return authenticate(state).then(next);
  };

  async function authenticate(state: CallState): Promise<void> {
    if (state.route.credential === 'none') return refuseUnasked(state);
    const presented = presentedIn(state);
    try {
      const { person, account, session } = await known(presented, state);
      // From here on a refusal is this person's, and is recorded as such.
      state.person = person;
      state.actor = person.account;
      state.context = contextOf(account, person);
      if (session) {
        checkCrossSite(state.message, presented.value);
        await keepUp(session);
      }
    } catch (error) {
      throw isOfCredentials(error) ? withChallenge(error, offered(state), presented.kind) : error;
    }
  }

  function known({ kind, value }: Presented, { address }: CallState): Promise<Known> {
    if (kind === 'bearer') return byToken(value);
    return kind === 'cookie' ? bySession(value) : byPassword(value, address);
  }

  async function byToken(value: string): Promise<Known> {
    const { account, roles, generation, family } = await accessTokens.verify(value);
    return {
      account,
      person: { account: account.id, generation, kind: 'bearer', roles, family },
    };
  }

  async function bySession(sessionId: string): Promise<Known> {
    const hash = sessionHash(sessionId);
    const found = await findSession(accounts, hash, epochSeconds(clock));
    if (!found) throw invalidSession();
    const { id, generation } = found.account;
    const csrf = csrfToken(sessionId);
    return {
      ...found,
      person: { account: id, generation, kind: 'cookie', roles: undefined, session: hash, csrf },
    };
  }

  async function byPassword(value: string, address: string): Promise<Known> {
    // Without a code: who has a second factor, or must have one, doesn't get in by a password alone.
    const { account } = await logins.judge({ ...basicOf(value), address });
    const { id, generation } = account;
    return { account, person: { account: id, generation, kind: 'basic', roles: undefined } };
  }

  /** A session that is used lives on. */
  async function keepUp(session: Session): Promise<void> {
    const end = prolonged(session, epochSeconds(clock));
    if (end === undefined) return;
    await commitGroup.run('prolong a session', (tx) => prolong(tx.accounts.sessions, session.hash, end));
  }
}

/** An open route takes no credential; that of a login it reads itself. */
function refuseUnasked({ route, message }: CallState): void {
  if (!message.fields.has('authorization') || route.readsAuthorization) return;
  throw new CountersignError(
    'request-malformed',
    'This route is open to anybody, and takes no credential: leave Authorization out.',
  );
}

/** @throws signature-missing or token-invalid where there is none that the route takes, with what it does take. */
function presentedIn(state: CallState): Presented {
  const { message, route } = state;
  const authorization = message.fields.get('authorization');
  const sessionId = takes(route, 'cookie') ? cookieIn(state) : undefined;
  if (authorization !== undefined && sessionId !== undefined) {
    throw new CountersignError(
      'request-malformed',
      'The call bears two credentials, Authorization and a session cookie; send one of them.',
    );
  }
  const presented: Presented | undefined =
    sessionId !== undefined ? { kind: 'cookie', value: sessionId } : readAuthorization(authorization);
  if (!presented) throw missing(state, authorization !== undefined);
  if (!takes(route, presented.kind)) throw missing(state, true);
  if (!isConfidential(state)) {
    throw new CountersignError(
      'key-forbidden',
      'The credential came in clear: anybody on the way may have read it. Call over TLS, and change it.',
    );
  }
  return presented;
}

function cookieIn(state: CallState): string | undefined {
  try {
    return readSessionCookie(state.message.fields.get('cookie'));
  } catch (error) {
    throw isOfCredentials(error) ? withChallenge(error, offered(state), 'cookie') : error;
  }
}

function readAuthorization(field: string | undefined): Presented | undefined {
  if (field === undefined) return undefined;
  const [, token] = BEARER.exec(field) ?? [];
  if (token !== undefined) return { kind: 'bearer', value: token };
  const [, password] = BASIC.exec(field) ?? [];
  return password === undefined ? undefined : { kind: 'basic', value: password };
}

/**
 * What stands in an Authorization field of the scheme Basic; undefined where it is of another, or isn't there.
 * @throws login-failed where it can't be read.
 */
export function readBasic(field: string | undefined): PasswordGiven | undefined {
  const presented = readAuthorization(field);
  return presented?.kind === 'basic' ? basicOf(presented.value) : undefined;
}

/** RFC 7617 section 2: the name ends at the first colon, and an e-mail address holds none. */
function basicOf(value: string): PasswordGiven {
  const given = decoded(value);
  const colon = given.indexOf(':');
  if (colon === -1) throw unreadable();
  return { email: given.slice(0, colon), password: given.slice(colon + 1) };
}

function decoded(value: string): string {
  try {
    return utf8.decode(Buffer.from(value, 'base64'));
  } catch {
    throw unreadable();
  }
}

function unreadable(): CountersignError {
  return new CountersignError(
    'login-failed',
    'Authorization is not what Basic asks for: the base64 of e-mail address, colon and password, in UTF-8.',
  );
}

/** @param other whether a credential is there that the route doesn't take. */
function missing(state: CallState, other: boolean): CountersignError {
  const kinds = offered(state);
  if (kinds.length === 0) {
    return new CountersignError(
      'key-forbidden',
      'This route takes credentials that anybody on the way could read; call over TLS.',
    );
  }
  const why = other ? "The call bears a credential that this route doesn't take. It" : 'The call';
  const detail = `${why} must bear ${namesOf(kinds)}${kinds.includes('signature') ? ': see Accept-Signature for what to cover' : ''}.`;
  const code = takes(state.route, 'signature') ? 'signature-missing' : 'token-invalid';
  return new CountersignError(code, detail, { headers: challengeOf(kinds) });
}

function isOfCredentials(error: unknown): error is CountersignError {
  return (
    error instanceof CountersignError && (error.code === 'token-invalid' || error.code === 'login-failed')
  );
}
