/**
 * `/v1/account/totp`: a person enrols a second factor, and confirms it by its first code. And how an operator hands one
 * over: to somebody whose role asks for one and who can't log in without it, or who has lost the telephone.
 * @module
 */
import { z } from 'zod';
import { tokenInvalid } from '../../../accounts/access-token.ts';
import type { Account } from '../../../accounts/account.ts';
import { endAll } from '../../../accounts/generation.ts';
import { type LoginProof, wrongPassword } from '../../../accounts/login.ts';
import {
  confirmEnrolment,
  type DrawnEnrolment,
  drawEnrolment,
  enrol,
} from '../../../accounts/second-factor.ts';
import { epochSeconds } from '../../../clock.ts';
import { CountersignError } from '../../../errors.ts';
import type { EndpointResult } from '../../../idempotency/endpoint.ts';
import type { SecurityContext } from '../../../security/security-context.ts';
import { type Context, OPERATORS, type Person, type Route } from '../../call.ts';
import { type ApiInput, checkInput } from '../api-input.ts';
import { endpointRoute, type PreparedInput } from '../endpoint-route.ts';
import { checkIfMatch } from '../management/entity-tag.ts';
import { refuseBeyond } from '../management/operator-roles.ts';
import { accountTag, knownAccount } from './account-item.ts';
import type { PeopleParts } from './parts.ts';
import { personOf } from './tokens.ts';

/** A password in a pocket doesn't follow from a token in a script's: it is asked for again, not taken by Basic. */
const CREDENTIAL = ['bearer', 'cookie'] as const;

const ENROLMENT = z.strictObject({
  uri: z.string().meta({ description: '`otpauth://totp/…`' }),
  svg: z.string().meta({ description: 'The same as a QR code.' }),
  recoveryCodes: z.array(z.string()).meta({ description: 'Each stands in for a code once.' }),
});

type Judged = { readonly proof: LoginProof } | { readonly refusal: CountersignError };

interface Enrolled {
  readonly drawn: DrawnEnrolment;
  readonly proof: LoginProof;
}

export function enrolSecondFactor(parts: PeopleParts): Route {
  const { logins, vault } = parts;
  const schema = {
    body: z.strictObject({
      password: z.string(),
      totp: z.string().optional().meta({ description: 'A code of the factor that this one replaces.' }),
    }),
  };
  return endpointRoute(
    {
      name: 'second-factor.enrol',
      role: 'any',
      idempotency: 'key',
      issuesSecret: true,
      parameters(input: PreparedInput<Judged>) {
        checkInput(schema, input);
        if ('refusal' in input.prepared) throw input.prepared.refusal;
        return input.prepared.proof;
      },
      loadState: (_tx, proof) => ({ proof, drawn: drawEnrolment(proof.account.email) }),
      updateState: (enrolled: Enrolled) => enrolled,
      async apply({ accounts }, { proof, drawn }) {
        const { id } = await logins.redeem(accounts, proof);
        await enrol(accounts, vault, id, drawn);
      },
      getResponse: ({ drawn }) => enrolmentAnswer(drawn),
      audit: ({ proof }) => ({ subject: proof.account.id }),
    },
    {
      schema,
      selfService: true,
      credential: CREDENTIAL,
      description: {
        summary: 'Enrol a second factor',
        details:
          'Asks for the password again, and for a code of the factor that it replaces, which stays good until the new one is confirmed.',
        answers: {
          201: {
            description: 'Shown once. Nothing is asked for until it is confirmed.',
            schema: ENROLMENT,
          },
        },
      },
      prepare: (input, ctx) => judge(input, ctx, parts),
    },
    parts,
  );
}

/** A refusal waits: the same call again gets its first answer, though its code was used up by then. */
async function judge({ body }: ApiInput, ctx: Context, { logins, accounts }: PeopleParts): Promise<Judged> {
  const account = await accounts.find(personOf(ctx).account);
  if (!account) throw tokenInvalid('The account is gone.');
  const { password, totp } = (body ?? {}) as { password?: unknown; totp?: unknown };
  try {
    const proof = await logins.judge({
      email: account.email,
      password: typeof password === 'string' ? password : '',
      totp: typeof totp === 'string' ? totp : undefined,
      address: ctx.state.address,
    });
    if (proof.account.id !== account.id) throw tokenInvalid('The account has just changed.');
    return { proof };
  } catch (error) {
    if (!(error instanceof CountersignError)) throw error;
    return { refusal: error.code === 'login-failed' ? wrongPassword() : error };
  }
}

interface HandedOver {
  readonly account: Account;
  readonly drawn: DrawnEnrolment;
}

export function handOverSecondFactor(parts: PeopleParts): Route {
  const { vault } = parts;
  const schema = {};
  return endpointRoute(
    {
      name: 'account.hand-over-second-factor',
      role: 'operator:accounts',
      idempotency: 'nonce',
      issuesSecret: true,
      parameters(input) {
        checkInput(schema, input);
        return { id: input.params.id ?? '', ifMatch: input.ifMatch };
      },
      async loadState({ accounts }, { id }): Promise<HandedOver> {
        const account = knownAccount(await accounts.find(id), id);
        return { account, drawn: drawEnrolment(account.email) };
      },
      updateState(state, { ifMatch }, { context }) {
        const { account } = state;
        checkIfMatch(ifMatch, accountTag(account));
        refuseBeyond(context, account.roles);
        refuseOwn(context, account);
        return state;
      },
      async apply(tx, { account: { id }, drawn }) {
        await enrol(tx.accounts, vault, id, drawn, true);
        await endAll(tx.accounts, id);
      },
      getResponse: ({ drawn }) => enrolmentAnswer(drawn),
      audit: ({ account: { id } }) => ({ subject: id }),
    },
    {
      schema,
      credential: OPERATORS,
      description: {
        summary: 'Hand over a new second factor to somebody',
        details:
          'For a role that asks for one, or a telephone that was lost. Takes the place of any other at once, and ends the tokens and sessions of the account. The next login brings its first code.',
        answers: { 201: { description: 'Shown once, for the person alone.', schema: ENROLMENT } },
      },
    },
    parts,
  );
}

/** A token alone doesn't touch the factor of who bears it. @throws conflict */
export function refuseOwn(context: SecurityContext, { id }: Account): void {
  if (context.account !== id) return;
  throw new CountersignError(
    'conflict',
    'This is your own account: POST /v1/account/totp enrols, and asks for password and code.',
  );
}

function enrolmentAnswer({ uri, svg, recoveryCodes }: DrawnEnrolment): EndpointResult {
  return { status: 201, body: { uri, svg, recoveryCodes } };
}

interface Confirmed {
  readonly person: Person;
  readonly totp: string;
}

export function confirmSecondFactor(parts: PeopleParts): Route {
  const { vault, clock } = parts;
  const schema = { body: z.strictObject({ totp: z.string() }) };
  return endpointRoute(
    {
      name: 'second-factor.confirm',
      role: 'any',
      idempotency: 'key',
      parameters: (input: PreparedInput<Person>): Confirmed => ({
        person: input.prepared,
        totp: checkInput(schema, input).body.totp,
      }),
      loadState: () => undefined,
      updateState: (_state, confirmed) => confirmed,
      apply: ({ accounts }, { person, totp }) =>
        confirmEnrolment(accounts, vault, person.account, totp, epochSeconds(clock)),
      getResponse: () => ({ status: 200, body: { confirmed: true } }),
      audit: ({ person }) => ({ subject: person.account }),
    },
    {
      schema,
      selfService: true,
      credential: CREDENTIAL,
      description: {
        summary: 'Confirm a second factor by its first code',
        details: 'The code is used up. From now on a login asks for one.',
        answers: {
          200: { description: 'Done.', schema: z.strictObject({ confirmed: z.literal(true) }) },
        },
      },
      prepare: async (_input, ctx) => personOf(ctx),
    },
    parts,
  );
}
