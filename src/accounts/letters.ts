/**
 * What people are written, and when: a unit of work puts a request for a letter into the outbox, and the letter is
 * made when it is sent. So neither address nor ticket waits in the queue, and somebody who was erased meanwhile gets
 * nothing.
 * @module
 */
import { type Clock, epochSeconds } from '../clock.ts';
import type { Deliver } from '../idempotency/delivery.ts';
import type { OutboxMessage } from '../idempotency/outbox.ts';
import type { Account, AccountReader } from './account.ts';
import type { Mail, MailKind, MailMessage } from './mail.ts';
import type { MailFiles } from './mail-files.ts';
import { TICKET_LIFE, type TicketPurpose, type Tickets } from './ticket.ts';
import { Turns } from './turns.ts';

/** Ours: a host program may have a topic `mail` of its own. */
export const MAIL_TOPIC = 'countersign/mail';

/** Seconds after which a letter that bears no ticket is no news any more. */
const NEWS_LIFE = 24 * 3600;

export type LetterRequest =
  | {
      readonly kind: Exclude<MailKind, 'invitation'>;
      /** Its id. Nobody is written where there is none. */
      readonly account: string;
      /** Epoch seconds. */
      readonly at: number;
    }
  | {
      readonly kind: 'invitation';
      /** The address's tag: there is no account yet. */
      readonly owner: string;
      /** Waits in the queue, sealed. */
      readonly email: string;
      readonly roles: readonly string[];
      readonly at: number;
    };

/** For `tx.outbox.add()`. Each person has a topic: whose mailbox is full keeps nobody else waiting. */
export function letter(request: LetterRequest, key?: string): OutboxMessage {
  const subject = request.kind === 'invitation' ? request.owner : request.account;
  const topic = `${MAIL_TOPIC} ${subject}`;
  return { topic, payload: { ...request }, subject, ...(key !== undefined && { key }) };
}

/** What the log is told: never whom it went to. */
export interface SentLetter {
  readonly message: string;
  readonly kind: MailKind;
  /** `unwanted`: there is nobody any more to get it, or it came too late. */
  readonly outcome: 'sent' | 'refused' | 'unwanted';
}

export interface LettersParts {
  readonly accounts: Pick<AccountReader, 'find'>;
  readonly tickets: Tickets;
  readonly mail: Mail;
  readonly files: MailFiles;
  /** The first public origin. */
  readonly origin: () => string;
  readonly clock: Clock;
  readonly onSent: (sent: SentLetter) => void;
}

/** Letters that are sent at once. */
const AT_ONCE = 4;

/** Takes the messages of `MAIL_TOPIC`. */
export function letters(parts: LettersParts): Deliver {
  const turns = new Turns(AT_ONCE);
  const deliver = delivery(parts);
  return (payload, key) => turns.run(async () => deliver(payload, key));
}

function delivery(parts: LettersParts): Deliver {
  const { accounts, mail, files, clock, onSent } = parts;
  return async (payload, key) => {
    const request = payload as unknown as LetterRequest;
    const { kind } = request;
    const message = isStale(request, clock) ? undefined : await written(parts, request, key);
    if (!message) return onSent({ message: key, kind, outcome: 'unwanted' });
    const outcome = await mail.send(message);
    // It may have been erased while this was sent: then nobody else removes what came after.
    if (request.kind !== 'invitation' && !(await accounts.find(request.account))) {
      await files.forget(request.account);
    }
    onSent({ message: key, kind, outcome });
  };
}

function isStale({ kind, at }: LetterRequest, clock: Clock): boolean {
  return epochSeconds(clock) >= at + (kind === 'password-changed' ? NEWS_LIFE : TICKET_LIFE[kind]);
}

async function written(
  { accounts, tickets, origin }: LettersParts,
  request: LetterRequest,
  id: string,
): Promise<MailMessage | undefined> {
  const { kind, at } = request;
  const issue = (purpose: TicketPurpose, email: string, more: object) =>
    tickets.issue({ id, purpose, address: tickets.addressTag(email), issuedAt: at, ...more });
  if (request.kind === 'invitation') {
    const { email, owner, roles } = request;
    const ticket = await issue('invitation', email, { roles });
    return { id, kind, at, owner, to: email, ...invitation(ticket, origin(), at) };
  }
  const account = await accounts.find(request.account);
  if (!account || account.disabledAt !== undefined) return undefined;
  const to = { id, kind, at, owner: account.id, to: account.email };
  if (request.kind === 'password-changed') return { ...to, ...passwordChanged(origin(), at) };
  if (request.kind === 'confirm-email' && account.emailConfirmedAt !== undefined) return undefined;
  const ticket = await issue(request.kind, account.email, { account: bound(account) });
  const write = request.kind === 'confirm-email' ? confirmation : passwordReset;
  return { ...to, ...write(ticket, origin(), at) };
}

function bound({ id, generation }: Account): Pick<Account, 'id' | 'generation'> {
  return { id, generation };
}

type Words = Pick<MailMessage, 'subject' | 'text'>;

function invitation(ticket: string, origin: string, at: number): Words {
  return {
    subject: 'An invitation',
    text: `You are invited to have an account at ${origin}.

${ticketPart('invitation', ticket, at)}
Send it as "ticket" with "firstName", "lastName", "email" (this address) and "password" to:
POST ${origin}/v1/register

If this means nothing to you, do nothing: no account is made without it.
`,
  };
}

function confirmation(ticket: string, origin: string, at: number): Words {
  return {
    subject: 'Confirm your address',
    text: `An account at ${origin} was registered with this address.

${ticketPart('confirm-email', ticket, at)}
Send it as {"ticket"} to:
POST ${origin}/v1/account/email/confirm

If it wasn't you, do nothing: the address stays unconfirmed.
`,
  };
}

function passwordReset(ticket: string, origin: string, at: number): Words {
  return {
    subject: 'Set a new password',
    text: `Somebody asked for a new password of the account with this address at ${origin}.

${ticketPart('reset-password', ticket, at)}
Send it as {"ticket", "password"} to:
POST ${origin}/v1/password/reset

If it wasn't you, do nothing: the password stays as it is.
`,
  };
}

function passwordChanged(origin: string, at: number): Words {
  return {
    subject: 'Your password was changed',
    text: `The password of the account with this address at ${origin} was changed at ${new Date(at * 1000).toISOString()}.

If it wasn't you, ask for a new one at once (POST ${origin}/v1/password/forgot), and tell an operator.
`,
  };
}

const TICKET = /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/gm;

/**
 * A letter as its owner may see it outside the mailbox. A ticket shows that mail reaches somebody: who read it here with
 * a token that was stolen would set a new password, and who registered with another's address would confirm it.
 */
export function withoutTicket(letter: string): string {
  return letter.replace(TICKET, '(the ticket stands in the mail alone)');
}

function ticketPart(purpose: TicketPurpose, ticket: string, at: number): string {
  const end = new Date((at + TICKET_LIFE[purpose]) * 1000).toISOString();
  return `This ticket is good once, until ${end}. Show it to nobody:

${ticket}
`;
}
