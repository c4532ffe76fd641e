/**
 * `/v1/token/refresh`, `/v1/logout` and the key set: what becomes of tokens after the login.
 * @module
 */
import { z } from 'zod';
import { endAll } from '../../../accounts/generation.ts';
import { endedCookie } from '../../../accounts/session.ts';
import type { Context, Person, Route } from '../../call.ts';
import { readIdempotencyKey } from '../../idempotent-call.ts';
import { apiInput, checkInput } from '../api-input.ts';
import { endpointRoute, type PreparedInput } from '../endpoint-route.ts';
import { sendJson } from '../own.ts';
import { refuseInClear, tokenPair } from './login.ts';
import type { PeopleParts } from './parts.ts';

/** Characters; ours have 43. */
const MOST_TOKEN = 256;

export function refreshToken({ refreshTokens }: PeopleParts): Route {
  const schema = { body: z.strictObject({ refreshToken: z.string().max(MOST_TOKEN) }) };
  return {
    name: 'token.refresh',
    credential: 'none',
    reads: 'people',
    role: 'any',
    idempotency: 'none',
    issuesSecret: true,
    schema,
    conditions: true,
    encodedSlash: false,
    description: {
      summary: 'Get new tokens for a refresh token',
      details:
        'Each is good once: a second use ends all tokens of its login. The same call again within 30 seconds under the same Idempotency-Key gets the same answer.',
      answers: { 200: { description: 'The tokens that take its place.', schema: tokenPair } },
    },
    async answer(ctx) {
      const { state } = ctx;
      refuseInClear(state);
      const { body } = checkInput(schema, apiInput(ctx));
      const field = state.message.fields.get('idempotency-key');
      const key = field === undefined ? undefined : readIdempotencyKey(field);
      sendJson(ctx, await refreshTokens.refresh(body.refreshToken, key, state.requestId));
    },
  };
}

interface LoggedOut {
  readonly person: Person;
  readonly everywhere: boolean;
}

export function logOut(parts: PeopleParts): Route {
  const schema = { body: z.strictObject({ everywhere: z.boolean().optional() }).optional() };
  return endpointRoute(
    {
      name: 'own-account.logout',
      role: 'any',
      idempotency: 'key',
      parameters(input: PreparedInput<Person>): LoggedOut {
        const { everywhere = false } = checkInput(schema, input).body ?? {};
        return { person: input.prepared, everywhere };
      },
      loadState: () => undefined,
      updateState: (_state, loggedOut) => loggedOut,
      async apply({ accounts }, { person, everywhere }) {
        const { account, family, session } = person;
        if (everywhere) await endAll(accounts, account);
        if (family !== undefined) await accounts.refreshTokens.endFamily(family);
        if (session !== undefined) await accounts.sessions.end(session);
      },
      getResponse: ({ person }) => ({
        status: 204,
        ...(person.session && { headers: { 'set-cookie': endedCookie() } }),
      }),
      audit: ({ person, everywhere }) => ({ subject: person.account, detail: { everywhere } }),
    },
    {
      schema,
      selfService: true,
      credential: ['bearer', 'cookie'],
      description: {
        summary: 'Log out',
        details:
          'Ends the tokens of this login, or this session; with `everywhere` every token and session of the account. In force at once.',
        answers: {
          204: { description: 'Done.', headers: { 'Set-Cookie': 'Removes the cookie of a session.' } },
        },
      },
      prepare: async (_input, ctx) => personOf(ctx),
    },
    parts,
  );
}

export function keySet({ signingKeys }: PeopleParts): Route {
  return {
    name: 'jwks',
    credential: 'none',
    role: 'any',
    idempotency: 'none',
    schema: null,
    conditions: false,
    encodedSlash: false,
    description: {
      summary: 'The keys that access tokens are verified by',
      details: 'A JSON Web Key Set (RFC 7517). The next key stands in it a day before it signs.',
      answers: {
        200: {
          description: 'The public keys.',
          schema: z.strictObject({ keys: z.array(z.looseObject({ kid: z.string() })) }),
        },
      },
    },
    answer: async (ctx) => sendJson(ctx, await signingKeys.published()),
  };
}

/** Routes that take people's credentials alone always have one. */
export function personOf({ state }: Context): Person {
  if (!state.person) throw new Error(`the route ${state.route.name} was answered without a person`);
  return state.person;
}
