/**
 * `POST /v1/login`: a password, and a code where one is asked for, for tokens or for a browser's session.
 *
 * A field that is missing or of the wrong type is judged as an empty one, and a bad Authorization as an empty
 * password: answer and time don't say what was wrong. Only members that no login knows are told.
 * @module
 */
import { z } from 'zod';
import { ACCESS_LIFE } from '../../../accounts/access-token.ts';
import type { Account } from '../../../accounts/account.ts';
import type { LoginAttempt, LoginProof } from '../../../accounts/login.ts';
import type { TokenPair } from '../../../accounts/refresh-token.ts';
import { readSessionCookie, SESSION_IDLE, sessionHash, startSession } from '../../../accounts/session.ts';
import { epochSeconds } from '../../../clock.ts';
import { CountersignError } from '../../../errors.ts';
import { grants, isRole } from '../../../security/roles.ts';
import type { Transaction } from '../../../storage/unit-of-work.ts';
import type { CallState, Context, Route } from '../../call.ts';
import { isConfidential } from '../../challenge.ts';
import { checkFormOrigin } from '../../cross-site.ts';
import { readBasic } from '../../middleware/authenticate-person.ts';
import { apiInput, checkInput, refuseInput } from '../api-input.ts';
import { sendJson } from '../own.ts';
import type { PeopleParts } from './parts.ts';

const FORM = /^application\/x-www-form-urlencoded\b/i;
const NOBODY = { email: '', password: '' };
const MOST_ROLES = 100;

const ANYTHING = z.unknown().optional();
/** By how the password comes. */
const MEMBERS = {
  json: z.strictObject({ email: ANYTHING, password: ANYTHING, totp: ANYTHING, roles: ANYTHING }).optional(),
  form: z.strictObject({ email: ANYTHING, password: ANYTHING, totp: ANYTHING }).optional(),
  basic: z.strictObject({ totp: ANYTHING, roles: ANYTHING }).optional(),
};

/** For the document of the API: what a login that can succeed sends. */
const BODY = z.strictObject({
  email: z.string().optional().meta({ description: 'Left out with Basic.' }),
  password: z.string().optional().meta({ description: 'Left out with Basic.' }),
  totp: z.string().optional().meta({ description: 'A code of the second factor, or a recovery code.' }),
  roles: z.array(z.string()).optional().meta({ description: 'Fewer roles than the account has.' }),
});

export const tokenPair = z.strictObject({
  accessToken: z.string(),
  refreshToken: z.string(),
  expiresIn: z.int().meta({ description: `Seconds: ${ACCESS_LIFE}.` }),
});

/** What a call brings along. */
interface GivenLogin extends Omit<LoginAttempt, 'address'> {
  readonly roles: readonly string[] | undefined;
  readonly isForm: boolean;
}

export function logIn(parts: PeopleParts): Route {
  return {
    name: 'account.login',
    credential: 'none',
    readsAuthorization: true,
    reads: 'people',
    role: 'any',
    idempotency: 'none',
    issuesSecret: true,
    schema: { body: BODY.optional() },
    conditions: true,
    encodedSlash: false,
    description: {
      summary: 'Log in',
      details:
        'With Basic, or e-mail address and password as JSON, for tokens; as a form for a session, whose cookie is set. Whatever is wrong, the answer is the same.',
      answers: {
        200: {
          description: 'Tokens; or for a form what the page of the session needs.',
          schema: z.union([tokenPair, z.strictObject({ csrf: z.string(), expiresIn: z.int() })]),
          headers: { 'Set-Cookie': 'The session, for a form.' },
        },
      },
    },
    answer: (ctx) => answer(ctx, parts),
  };
}

async function answer(ctx: Context, parts: PeopleParts): Promise<void> {
  const { state } = ctx;
  refuseInClear(state);
  const given = readLogin(ctx);
  if (given.isForm) checkFormOrigin(state.message);
  try {
    const proof = await parts.logins.judge({ ...given, address: state.address });
    if (given.isForm) await openSession(ctx, proof, parts);
    else sendJson(ctx, await issueTokens(ctx, proof, given.roles, parts));
  } catch (error) {
    throw given.isForm ? withoutChallenge(error) : error;
  }
}

async function issueTokens(
  { state }: Context,
  proof: LoginProof,
  roles: readonly string[] | undefined,
  parts: PeopleParts,
): Promise<TokenPair> {
  const { commitGroup, refreshTokens } = parts;
  if (roles) refuseLacking(proof.account, roles);
  const drawn = await refreshTokens.draw(proof.account, roles);
  await commitGroup.run('log in', async (tx) => {
    await redeem(tx, state, proof, parts);
    await tx.accounts.refreshTokens.add(drawn.kept);
  });
  return drawn.pair;
}

async function openSession(ctx: Context, proof: LoginProof, parts: PeopleParts): Promise<void> {
  const { state } = ctx;
  const now = epochSeconds(parts.clock);
  const previous = previousSession(state);
  const { setCookie, csrf } = await parts.commitGroup.run('log in with a browser', async (tx) => {
    const account = await redeem(tx, state, proof, parts);
    return startSession(tx, account, now, previous);
  });
  ctx.set('Set-Cookie', setCookie);
  sendJson(ctx, { csrf, expiresIn: SESSION_IDLE });
}

async function redeem(
  tx: Transaction,
  { route, requestId }: CallState,
  proof: LoginProof,
  { logins }: PeopleParts,
): Promise<Account> {
  const account = await logins.redeem(tx.accounts, proof);
  const { id } = account;
  await tx.audit.append({ actor: id, action: route.name, subject: id, requestId });
  return account;
}

function readLogin(ctx: Context): GivenLogin {
  const { fields } = ctx.state.message;
  const authorization = fields.get('authorization');
  const isForm = FORM.test(fields.get('content-type') ?? '');
  const schema = authorization !== undefined ? MEMBERS.basic : isForm ? MEMBERS.form : MEMBERS.json;
  const members: Record<string, unknown> = checkInput({ body: schema }, apiInput(ctx)).body ?? {};
  const { email, password } =
    authorization === undefined
      ? { email: textOf(members.email), password: textOf(members.password) }
      : readAuthorization(authorization);
  const totp = members.totp === undefined ? undefined : textOf(members.totp);
  return {
    email,
    password,
    // An empty field of a form is one that wasn't filled in.
    totp: isForm && totp === '' ? undefined : totp,
    roles: members.roles === undefined ? undefined : readRoles(members.roles),
    isForm,
  };
}

function textOf(member: unknown): string {
  return typeof member === 'string' ? member : '';
}

function readAuthorization(field: string): { readonly email: string; readonly password: string } {
  try {
    return readBasic(field) ?? NOBODY;
  } catch (error) {
    if (error instanceof CountersignError) return NOBODY;
    throw error;
  }
}

function readRoles(member: unknown): readonly string[] {
  const isList = Array.isArray(member) && member.length > 0 && member.length <= MOST_ROLES;
  const isSound = isList && member.every((role) => typeof role === 'string' && isRole(role));
  if (!isSound) {
    refuseInput([{ path: 'roles', detail: `it must be a list of 1 to ${MOST_ROLES} roles` }]);
  }
  return [...new Set(member as string[])];
}

/** Told to somebody who has proved who he is. */
function refuseLacking({ roles }: Account, asked: readonly string[]): void {
  const lacking = asked.find((role) => !roles.some((held) => grants(held, role)));
  if (lacking !== undefined) {
    throw new CountersignError('role-missing', `This account doesn't have the role "${lacking}".`);
  }
}

/** What a browser that logs in once more still holds: it ends. */
function previousSession({ message }: CallState): Buffer | undefined {
  try {
    const sessionId = readSessionCookie(message.fields.get('cookie'));
    return sessionId === undefined ? undefined : sessionHash(sessionId);
  } catch (error) {
    if (error instanceof CountersignError) return undefined;
    throw error;
  }
}

/** @throws key-forbidden where anybody on the way could read what is asked or answered. */
export function refuseInClear(state: CallState): void {
  if (isConfidential(state)) return;
  throw new CountersignError(
    'key-forbidden',
    'The answer would hold a secret; call over TLS, or on the same machine.',
  );
}

/** A browser would answer the challenge with a dialogue of its own, in front of the page's form. */
function withoutChallenge(error: unknown): unknown {
  if (!(error instanceof CountersignError) || error.code !== 'login-failed') return error;
  return new CountersignError(error.code, error.message, { cause: error });
}
