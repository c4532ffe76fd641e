/**
 * How much mail a call may bring about, so that nobody fills another's mailbox through us.
 * @module
 */
import { CountersignError } from '../../../errors.ts';
import { bucketKey } from '../../../limits/failure-bucket.ts';
import type { Quota, QuotaStore } from '../../../limits/quotas.ts';

const HOUR = 3600_000;
const BY_ADDRESS = 20;
const BY_RECIPIENT = 5;

function quota(name: string, subject: string, calls: number): Quota {
  return { name, counter: `${name} ${subject}`, calls, period: HOUR, refill: 'window' };
}

export interface MailCall {
  /** Whom the mail is for: an account's id. */
  readonly account: string;
  /** Where the call comes from. */
  readonly address: string;
}

/** Five mails an hour for one account, and twenty from one address. @throws rate-limited */
export async function chargeMail(quotas: QuotaStore, { account, address }: MailCall): Promise<void> {
  await chargeCaller(quotas, address);
  const { wait } = await quotas.charge([quota('mail-recipient', account, BY_RECIPIENT)]);
  if (wait > 0) throw tooMuch(wait);
}

/** What an open call pays, by its address alone. @throws rate-limited */
export async function chargeCaller(quotas: QuotaStore, address: string): Promise<void> {
  const { wait } = await quotas.charge([quota('mail-caller', bucketKey(address), BY_ADDRESS)]);
  if (wait > 0) throw tooMuch(wait);
}

/**
 * Whether a recipient may get one more, where a refusal would be an answer to somebody else.
 * @param recipient the tag of an e-mail address, whether there is an account with it or not.
 */
export async function mayGetMail(quotas: QuotaStore, recipient: string): Promise<boolean> {
  const { wait } = await quotas.charge([quota('mail-recipient', recipient, BY_RECIPIENT)]);
  return wait === 0;
}

function tooMuch(wait: number): CountersignError {
  return new CountersignError('rate-limited', 'Too much mail was asked for; try again after Retry-After.', {
    headers: { 'Retry-After': String(wait) },
  });
}
