/**
 * `POST /v1/register`: somebody makes an account of their own, with a consumer and a key that ends.
 *
 * Where registration is closed there is none to be had: `not-found`, since no role and no other credential would open
 * it. Where it is open, an address that has an account is told from one that hasn't (`conflict`): the answer holds a
 * key that works at once, so a lie would be found out with it. What a stranger learns by it costs a hash and a place
 * in the address's bucket each, and the answer takes the same time either way. By invitation, only who got the letter
 * learns anything.
 * @module
 */
import { z } from 'zod';
import { letter } from '../../../accounts/letters.ts';
import { passwordPolicy } from '../../../accounts/password-policy.ts';
import { type PersonDraft, personFaults } from '../../../accounts/person.ts';
import { drawAccount, drawKey, putAccount } from '../../../accounts/registration.ts';
import { type Ticket, useTicket } from '../../../accounts/ticket.ts';
import { CountersignError } from '../../../errors.ts';
import { type BucketSize, FailureBuckets } from '../../../limits/failure-bucket.ts';
import type { Route } from '../../call.ts';
import { type ApiInput, checkInput, refuseInput, textMember } from '../api-input.ts';
import { endpointRoute, type PreparedInput } from '../endpoint-route.ts';
import { isoTime } from '../management/schemas.ts';
import type { AccountParts } from './account-parts.ts';
import { MOST_TICKET } from './schemas.ts';

/** Registrations of one address, the ones that are told `conflict` too. */
const PER_ADDRESS: BucketSize = { burst: 100, perSecond: 1 / 6 };

const newAccount = z.strictObject({
  firstName: z.string().meta({ description: 'From 1 to 100 characters of any script.' }),
  lastName: z.string().meta({ description: 'From 1 to 100 characters of any script.' }),
  email: z.string().meta({ format: 'email', examples: ['ada@example.com'] }),
  password: z.string().meta({ description: 'From 8 to 256 characters, and none of the common ones.' }),
  ticket: z.string().max(MOST_TICKET).optional().meta({ description: 'From an invitation. Good once.' }),
});

const registered = z.strictObject({
  account: z.string().meta({ description: 'Its id: random, and all that log and audit record know.' }),
  key: z.strictObject({
    keyid: z.string(),
    secret: z.string().meta({ description: '64 bytes in base64. Shown once.' }),
    expires: z.iso.datetime(),
  }),
});

interface Registrant extends Omit<PersonDraft, 'password'> {
  readonly passwordHash: string;
  readonly ticket: Ticket | undefined;
}

export function register(parts: AccountParts): Route {
  const schema = { body: newAccount };
  const { clock, passwords, tickets, vault, registration } = parts;
  const buckets = new FailureBuckets(PER_ADDRESS, clock);

  /** What a call asks for, before anything is computed for it. */
  async function readDraft(input: ApiInput) {
    const mode = registration();
    if (mode === 'closed') throw closed();
    const policy = await passwordPolicy();
    const { body } = checkInput(schema, input, (given) => personFaults(given, policy));
    if (body.ticket === undefined && mode === 'invited') {
      refuseInput([{ path: 'ticket', detail: 'whoever registers here must be invited by an operator' }]);
    }
    const ticket = body.ticket === undefined ? undefined : await tickets.read(body.ticket, 'invitation');
    if (ticket && ticket.address !== tickets.addressTag(body.email)) {
      refuseInput([{ path: 'email', detail: 'the invitation went to another address' }]);
    }
    return { body, ticket };
  }

  function payByAddress(address: string): void {
    const wait = buckets.wait(address);
    if (wait > 0) throw tooMany(wait);
    buckets.charge(address);
  }

  return endpointRoute(
    {
      name: 'account.register',
      role: 'any',
      idempotency: 'key',
      issuesSecret: true,
      parameters: ({ prepared }: PreparedInput<Registrant>) => prepared,
      async loadState(tx, { ticket, ...person }, { now }) {
        const roles = ticket?.roles ?? [];
        // The invitation was read where it was sent to.
        const emailConfirmedAt = ticket && now;
        const account = drawAccount({ ...person, roles, emailConfirmedAt }, now);
        const isTaken = (await tx.accounts.findByEmail(person.email)) !== undefined;
        return { isTaken, account, key: drawKey(vault, account, now) };
      },
      updateState({ isTaken, account, key }, { ticket }) {
        if (isTaken) throw taken();
        return { account, key, ticket };
      },
      async apply(tx, { account, key, ticket }) {
        const { id, createdAt } = account;
        if (ticket) await useTicket(tx.accounts, ticket);
        await putAccount(tx, account, key);
        if (!ticket) await tx.outbox.add(letter({ kind: 'confirm-email', account: id, at: createdAt }));
      },
      getResponse: ({ account, key: { key, secret } }) => ({
        status: 201,
        headers: { location: '/v1/account' },
        body: {
          account: account.id,
          key: {
            keyid: key.keyid,
            secret: secret.toString('base64'),
            expires: isoTime(key.notAfter),
          },
        },
      }),
      audit: ({ account, ticket }) => ({
        actor: account.id,
        subject: account.id,
        detail: { roles: account.roles, ...(ticket && { invitation: ticket.id }) },
      }),
    },
    {
      schema,
      credential: 'none',
      owner: ({ body }) => tickets.addressTag(textMember(body, 'email')),
      async prepare(input, { state }) {
        const { body, ticket } = await readDraft(input);
        payByAddress(state.address);
        const { firstName, lastName, email, password } = body;
        return { firstName, lastName, email, passwordHash: await passwords.hash(password), ticket };
      },
      description: {
        summary: 'Register',
        details:
          'Where the configuration opens it, or with a ticket from an invitation. The key is for programs; people log in.',
        answers: {
          201: {
            description: 'Registered. The secret is shown once.',
            schema: registered,
            headers: { Location: 'The account.' },
          },
        },
      },
    },
    parts,
  );
}

function closed(): CountersignError {
  return new CountersignError(
    'not-found',
    'Registration is closed here. Whoever runs the gateway makes accounts: countersign account add.',
  );
}

function taken(): CountersignError {
  return new CountersignError(
    'conflict',
    'There is an account with this address already. Log in, or ask for a new password: POST /v1/password/forgot.',
  );
}

function tooMany(wait: number): CountersignError {
  return new CountersignError(
    'rate-limited',
    'Too many registrations came from this address. Try again after Retry-After.',
    { headers: { 'Retry-After': String(Math.ceil(wait)) } },
  );
}
