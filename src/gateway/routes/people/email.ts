/**
 * `/v1/account/email…`: an address is confirmed by a ticket that was sent to it.
 * @module
 */
import { createHash } from 'node:crypto';
import { letter } from '../../../accounts/letters.ts';
import { type Ticket, ticketHolder, useTicket } from '../../../accounts/ticket.ts';
import { CountersignError } from '../../../errors.ts';
import { type Context, callerOf, PEOPLE, type Route } from '../../call.ts';
import { type ApiInput, checkInput, textMember } from '../api-input.ts';
import { endpointRoute, type PreparedInput } from '../endpoint-route.ts';
import { ownAccountOf, ownIdOf } from './account-item.ts';
import type { AccountParts } from './account-parts.ts';
import { chargeMail } from './mail-quota.ts';
import { ticketOnly } from './schemas.ts';

/** Whose record a call is that is let in by nothing but its ticket. */
export function ticketOwner({ body }: ApiInput): string {
  return createHash('sha256').update(textMember(body, 'ticket')).digest('base64url');
}

export function confirmEmail(parts: AccountParts): Route {
  const schema = { body: ticketOnly };
  const { tickets } = parts;
  return endpointRoute(
    {
      name: 'account.confirm-email',
      role: 'any',
      idempotency: 'key',
      parameters: ({ prepared }: PreparedInput<Ticket>) => prepared,
      loadState: (tx, { account }) => tx.accounts.find(account?.id ?? ''),
      updateState: (account, ticket, { now }) => ({
        account: ticketHolder(account, ticket, (email) => tickets.addressTag(email)),
        ticket,
        now,
      }),
      async apply(tx, { account, ticket, now }) {
        await useTicket(tx.accounts, ticket);
        await tx.accounts.update(account.id, { emailConfirmedAt: now });
      },
      getResponse: () => ({ status: 204 }),
      audit: ({ account }) => ({ subject: account.id }),
    },
    {
      schema,
      credential: 'none',
      owner: ticketOwner,
      prepare: (input) => tickets.read(checkInput(schema, input).body.ticket, 'confirm-email'),
      description: {
        summary: 'Confirm an e-mail address',
        details: 'Whoever has the ticket needs no other credential.',
        answers: { 204: { description: 'Confirmed.' } },
      },
    },
    parts,
  );
}

export function askForConfirmation(parts: AccountParts): Route {
  const schema = {};
  return endpointRoute(
    {
      name: 'account.ask-confirmation',
      role: 'any',
      idempotency: 'key',
      parameters: (input) => checkInput(schema, input),
      loadState: async (tx, _parameters, { context }) =>
        ownAccountOf(await tx.accounts.find(ownIdOf(context))),
      updateState({ id, emailConfirmedAt }, _parameters, { now }) {
        if (emailConfirmedAt !== undefined)
          throw new CountersignError('conflict', 'The address is confirmed already.');
        return { id, at: now };
      },
      async apply(tx, { id, at }) {
        await tx.outbox.add(letter({ kind: 'confirm-email', account: id, at }));
      },
      getResponse: () => ({ status: 202 }),
      audit: ({ id }) => ({ subject: id }),
    },
    {
      schema,
      credential: PEOPLE,
      selfService: true,
      async prepare(_input: ApiInput, ctx: Context) {
        await chargeMail(parts.quotaStore, { account: ownIdOf(callerOf(ctx)), address: ctx.state.address });
        return undefined;
      },
      description: {
        summary: 'Ask for a mail that confirms the address',
        answers: { 202: { description: 'The mail is on its way.' } },
      },
    },
    parts,
  );
}
