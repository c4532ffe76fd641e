/**
 * Tickets: signed, expiring, good for one purpose and once. They travel by mail, so each is a secret that may be seen:
 * it opens one door for one person, for a while.
 *
 * A ticket is a JWT (RFC 7519) under HMAC-SHA-256, and no access token: key, algorithm, `typ` and `aud` differ, and
 * each side checks its own (RFC 8725 section 3.11).
 * @module
 */
import { createHmac } from 'node:crypto';
import { errors, jwtVerify, SignJWT } from 'jose';
import type { Clock } from '../clock.ts';
import type { KeyVault } from '../consumers/key-vault.ts';
import { CountersignError } from '../errors.ts';
import { type Account, type AccountChanges, emailKey } from './account.ts';

export type TicketPurpose = 'invitation' | 'confirm-email' | 'reset-password';

const TYPE = 'ticket+jwt';
const AUDIENCE = 'countersign-ticket';
const MOST_TICKET = 2048;

const HOUR = 3600;

/** Seconds, by purpose. */
export const TICKET_LIFE: Readonly<Record<TicketPurpose, number>> = {
  invitation: 7 * 24 * HOUR,
  'confirm-email': 48 * HOUR,
  'reset-password': HOUR,
};

/** The longest that a ticket may be good. */
export const MOST_TICKET_LIFE = Math.max(...Object.values(TICKET_LIFE));

/** What a ticket is made from. */
export interface TicketDraft {
  /** What it is used up by. Random, or derived from what asked for it, so that asking once more makes no second one. */
  readonly id: string;
  readonly purpose: TicketPurpose;
  /** The account that it is for, and its generation; undefined for an invitation. */
  readonly account?: Pick<Account, 'id' | 'generation'>;
  /** From `addressTag()`. */
  readonly address: string;
  /** What an invitation offers. */
  readonly roles?: readonly string[];
  /** Epoch seconds. */
  readonly issuedAt: number;
}

export interface Ticket extends TicketDraft {
  readonly expiresAt: number;
}

export interface TicketsParts {
  readonly vault: Pick<KeyVault, 'derivedKey'>;
  readonly clock: Clock;
}

export class Tickets {
  private readonly key: Buffer;
  private readonly addressKey: Buffer;
  private readonly clock: Clock;

  constructor({ vault, clock }: TicketsParts) {
    this.key = vault.derivedKey('ticket');
    this.addressKey = vault.derivedKey('email');
    this.clock = clock;
  }

  /** Stands for an e-mail address where it must not be read: a keyed hash, 32 hex digits. */
  addressTag(email: string): string {
    return createHmac('sha256', this.addressKey).update(emailKey(email)).digest('hex').slice(0, 32);
  }

  issue({ id, purpose, account, address, roles, issuedAt }: TicketDraft): Promise<string> {
    const claims = {
      purpose,
      address,
      ...(account && { gen: account.generation }),
      ...(roles && { roles }),
    };
    const ticket = new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256', typ: TYPE })
      .setAudience(AUDIENCE)
      .setJti(id)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + TICKET_LIFE[purpose]);
    if (account) ticket.setSubject(account.id);
    return ticket.sign(this.key);
  }

  /**
   * What a ticket says; whether it was used, and whether its account still is as it was, is asked in the unit of work
   * that uses it: see `useTicket`.
   * @throws token-invalid, with one detail for all that is wrong but the time.
   */
  async read(text: string, purpose: TicketPurpose): Promise<Ticket> {
    if (text.length > MOST_TICKET) throw invalidTicket();
    try {
      const { payload } = await jwtVerify(text, this.key, {
        algorithms: ['HS256'],
        typ: TYPE,
        audience: AUDIENCE,
        currentDate: new Date(this.clock.now()),
        requiredClaims: ['jti', 'iat', 'exp', 'purpose', 'address'],
      });
      if (payload.purpose !== purpose) throw invalidTicket();
      const { jti, iat, exp, sub, gen, address, roles } = payload;
      return {
        id: jti as string,
        purpose,
        address: address as string,
        issuedAt: iat as number,
        expiresAt: exp as number,
        ...(sub !== undefined && { account: { id: sub, generation: gen as number } }),
        ...(roles !== undefined && { roles: roles as string[] }),
      };
    } catch (error) {
      if (error instanceof errors.JWTExpired && error.payload.purpose === purpose) {
        throw new CountersignError('token-invalid', 'This ticket has expired; ask for a new one.');
      }
      if (error instanceof errors.JOSEError) throw invalidTicket();
      throw error;
    }
  }
}

/** For whatever is wrong with a ticket: one that was used, one of another purpose and one that was made up look alike. */
export function invalidTicket(): CountersignError {
  return new CountersignError(
    'token-invalid',
    'This ticket is not good here, or was used before; ask for a new one.',
  );
}

/** The account that a ticket is for, unchanged since. @throws token-invalid where it is another, gone or disabled. */
export function ticketHolder(
  account: Account | undefined,
  ticket: Ticket,
  addressTag: (email: string) => string,
): Account {
  const isBound =
    account !== undefined &&
    account.id === ticket.account?.id &&
    account.generation === ticket.account.generation &&
    account.disabledAt === undefined &&
    addressTag(account.email) === ticket.address;
  if (!isBound) throw invalidTicket();
  return account;
}

/** Uses a ticket up. @throws token-invalid where it was used before. */
export async function useTicket(accounts: Pick<AccountChanges, 'useTicket'>, ticket: Ticket): Promise<void> {
  if (!(await accounts.useTicket(ticket.id, ticket.expiresAt))) throw invalidTicket();
}
