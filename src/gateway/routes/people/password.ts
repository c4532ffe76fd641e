/**
 * `/v1/password/…`, `/v1/account/password`: a password that was forgotten, and one that is changed. Either ends every
 * token, session and ticket of the account, and neither touches its second factor.
 * @module
 */
import { randomBytes } from 'node:crypto';
import type { Account } from '../../../accounts/account.ts';
import { endAll } from '../../../accounts/generation.ts';
import { letter } from '../../../accounts/letters.ts';
import { wrongPassword } from '../../../accounts/login.ts';
import { passwordPolicy } from '../../../accounts/password-policy.ts';
import { wordsOf } from '../../../accounts/person.ts';
import { type Ticket, ticketHolder, useTicket } from '../../../accounts/ticket.ts';
import type { Transaction } from '../../../storage/unit-of-work.ts';
import { type Context, callerOf, PEOPLE, type Route } from '../../call.ts';
import { type ApiInput, checkInput, refuseInput, textMember } from '../api-input.ts';
import { endpointRoute, type PreparedInput } from '../endpoint-route.ts';
import { ownAccountOf, ownIdOf } from './account-item.ts';
import type { AccountParts } from './account-parts.ts';
import { ticketOwner } from './email.ts';
import { chargeCaller, mayGetMail } from './mail-quota.ts';
import { passwordChange, passwordForgotten, passwordReset } from './schemas.ts';

/**
 * Answers alike, after the same work, whether there is such an account or not: a message is queued in either case, and
 * the look at its addressee is taken when it is sent.
 */
export function forgotPassword(parts: AccountParts): Route {
  const schema = { body: passwordForgotten };
  const { quotaStore, tickets } = parts;
  return endpointRoute(
    {
      name: 'password.forget',
      role: 'any',
      idempotency: 'key',
      parameters: ({ prepared }: PreparedInput<{ readonly email: string; readonly isAllowed: boolean }>) =>
        prepared,
      loadState: async (tx, { email }) => ({
        account: await tx.accounts.findByEmail(email),
        nobody: randomBytes(12).toString('hex'),
      }),
      updateState: ({ account, nobody }, { isAllowed }, { now }) => ({
        id: account && isAllowed ? account.id : nobody,
        at: now,
      }),
      async apply(tx, { id, at }) {
        await tx.outbox.add(letter({ kind: 'reset-password', account: id, at }));
      },
      getResponse: () => ({ status: 202 }),
      audit: ({ id }) => ({ subject: id }),
    },
    {
      schema,
      credential: 'none',
      owner: ({ body }) => tickets.addressTag(textMember(body, 'email')),
      async prepare(input, { state }) {
        const { email } = checkInput(schema, input).body;
        await chargeCaller(quotaStore, state.address);
        return { email, isAllowed: await mayGetMail(quotaStore, tickets.addressTag(email)) };
      },
      description: {
        summary: 'Ask for a mail to set a new password with',
        details: 'The answer is the same whether there is such an account or not.',
        answers: { 202: { description: 'If there is such an account, a mail is on its way.' } },
      },
    },
    parts,
  );
}

interface Reset {
  readonly ticket: Ticket;
  readonly passwordHash: string;
}

export function resetPassword(parts: AccountParts): Route {
  const schema = { body: passwordReset };
  const { accounts, passwords, tickets } = parts;
  return endpointRoute(
    {
      name: 'password.reset',
      role: 'any',
      idempotency: 'key',
      parameters: ({ prepared }: PreparedInput<Reset>) => prepared,
      loadState: (tx, { ticket }) => tx.accounts.find(ticket.account?.id ?? ''),
      updateState: (account, { ticket, passwordHash }, { now }) => ({
        account: ticketHolder(account, ticket, (email) => tickets.addressTag(email)),
        ticket,
        passwordHash,
        now,
      }),
      async apply(tx, { account, ticket, passwordHash, now }) {
        await useTicket(tx.accounts, ticket);
        // The ticket came by mail: so the address is theirs.
        await putPassword(tx, account, passwordHash, now, {
          emailConfirmedAt: account.emailConfirmedAt ?? now,
        });
        if (account.emailConfirmedAt === undefined) await revokeKeys(tx, account, now);
      },
      getResponse: () => ({ status: 204 }),
      audit: ({ account }) => ({ subject: account.id }),
    },
    {
      schema,
      credential: 'none',
      owner: ticketOwner,
      async prepare(input) {
        const policy = await passwordPolicy();
        const { body } = checkInput(schema, input, ({ password }) =>
          password === undefined ? [] : policy.faults('password', password),
        );
        const ticket = await tickets.read(body.ticket, 'reset-password');
        const account = await accounts.find(ticket.account?.id ?? '');
        if (account) refuseInput(policy.faults('password', body.password, wordsOf(account)));
        return { ticket, passwordHash: await passwords.hash(body.password) };
      },
      description: {
        summary: 'Set a new password with a ticket',
        details:
          'Ends every token and session. A second factor stays, and is asked for at the next login. Where the address had never been confirmed, the keys are revoked too.',
        answers: { 204: { description: 'Set: log in with it.' } },
      },
    },
    parts,
  );
}

interface Change {
  /** What was judged. */
  readonly before: string;
  readonly passwordHash: string;
}

export function changePassword(parts: AccountParts): Route {
  const schema = { body: passwordChange };
  const { accounts, logins, passwords } = parts;
  return endpointRoute(
    {
      name: 'password.change',
      role: 'any',
      idempotency: 'key',
      parameters: ({ prepared }: PreparedInput<Change>) => prepared,
      loadState: async (tx, _parameters, { context }) =>
        ownAccountOf(await tx.accounts.find(ownIdOf(context))),
      updateState(account, { before, passwordHash }, { now }) {
        // Somebody was faster: what was judged is not the password any more.
        if (account.passwordHash !== before) throw wrongPassword();
        return { account, passwordHash, now };
      },
      apply: (tx, { account, passwordHash, now }) => putPassword(tx, account, passwordHash, now),
      getResponse: () => ({ status: 204 }),
      audit: ({ account }) => ({ subject: account.id }),
    },
    {
      schema,
      credential: PEOPLE,
      selfService: true,
      async prepare(input: ApiInput, ctx: Context) {
        const policy = await passwordPolicy();
        const account = ownAccountOf(await accounts.find(ownIdOf(callerOf(ctx))));
        const { body } = checkInput(schema, input, ({ newPassword }) =>
          newPassword === undefined ? [] : policy.faults('newPassword', newPassword, wordsOf(account)),
        );
        await logins.judgeAgain(account, body.password, ctx.state.address);
        return { before: account.passwordHash, passwordHash: await passwords.hash(body.newPassword) };
      },
      description: {
        summary: 'Change the password',
        details: 'Ends every token and session, that of this call too.',
        answers: { 204: { description: 'Changed: log in with it.' } },
      },
    },
    parts,
  );
}

async function putPassword(
  tx: Transaction,
  { id }: Account,
  passwordHash: string,
  now: number,
  more: { readonly emailConfirmedAt?: number } = {},
): Promise<void> {
  await tx.accounts.update(id, { passwordHash, ...more });
  await endAll(tx.accounts, id);
  await tx.outbox.add(letter({ kind: 'password-changed', account: id, at: now }));
}

/** Whoever registered with an address that is somebody else's still has the key that they were given. */
async function revokeKeys({ consumers }: Transaction, { consumer }: Account, now: number): Promise<void> {
  if (consumer === undefined) return;
  for (const { keyid } of consumers.keysOf(consumer)) await consumers.revokeKey(keyid, now);
}
