/**
 * What the routes of accounts are given beside what a login needs, and how it is joined.
 * @module
 */
import type { Logger } from 'pino';
import { ERASURE_TOPIC, erasures } from '../../../accounts/erasure.ts';
import { letters, MAIL_TOPIC, type SentLetter } from '../../../accounts/letters.ts';
import type { PasswordHashes } from '../../../accounts/login.ts';
import type { Mail } from '../../../accounts/mail.ts';
import { MailFiles } from '../../../accounts/mail-files.ts';
import { SmtpMail } from '../../../accounts/mail-smtp.ts';
import { MOST_TICKET_LIFE, Tickets } from '../../../accounts/ticket.ts';
import type { AuditReader } from '../../../audit/audit.ts';
import type { Registration } from '../../../config/config.ts';
import type { MailSettings } from '../../../config/mail.ts';
import type { ConsumerReader } from '../../../consumers/consumer.ts';
import type { Deliver } from '../../../idempotency/delivery.ts';
import type { DoneRecordReader } from '../../../idempotency/records.ts';
import type { QuotaStore } from '../../../limits/quotas.ts';
import type { PeopleParts } from './parts.ts';

export interface AccountParts extends PeopleParts {
  readonly consumers: ConsumerReader;
  readonly audit: AuditReader;
  readonly done: DoneRecordReader;
  readonly quotaStore: QuotaStore;
  readonly passwords: PasswordHashes;
  /** Asked at each call: a reload may change it. */
  readonly registration: () => Registration;
  /** The roles that there are; undefined where any may be. Asked at each call, as above. */
  readonly listedRoles: () => readonly string[] | undefined;
  readonly tickets: Tickets;
  readonly files: MailFiles;
  /** Empties the database's journal. */
  readonly truncateJournal: () => Promise<boolean>;
}

export interface AccountSources {
  readonly store: {
    readonly consumers: ConsumerReader;
    readonly audit: AuditReader;
    readonly done: DoneRecordReader;
    readonly quotas: QuotaStore;
    truncateJournal(): Promise<boolean>;
  };
  readonly passwords: PasswordHashes;
  readonly registration: () => Registration;
  readonly listedRoles: () => readonly string[] | undefined;
  /** The data folder. */
  readonly data: string;
  /** Undefined where mail is written into files. Asked at each mail: a reload may change it. */
  readonly smtp: () => MailSettings | undefined;
  readonly origin: () => string;
  readonly logger: Logger;
}

/** Accounts as they are joined to the rest. */
export interface AccountDesk {
  readonly parts: AccountParts;
  /** For the outbox: mail, and what is left to do of an erasure. */
  readonly deliver: Readonly<Record<string, Deliver>>;
  /** Removes files of nobody, now and once a day: a crash may have come between an erasure and its files. */
  sweep(): Promise<void>;
  close(): void;
}

/** Milliseconds. */
const SWEEP_INTERVAL = 24 * 3600_000;

export function accountDesk(people: PeopleParts, sources: AccountSources): AccountDesk {
  const { clock, vault, accounts } = people;
  const { store, passwords, registration, listedRoles, data, smtp, origin, logger } = sources;
  const { consumers, audit, done, quotas } = store;
  const truncateJournal = () => store.truncateJournal();
  const files = new MailFiles(data);
  const tickets = new Tickets({ vault, clock });
  let settings: MailSettings | undefined;
  let server: SmtpMail | undefined;
  const mail: Mail = {
    send(message) {
      const now = smtp();
      if (now !== settings) {
        server?.close();
        server = now && new SmtpMail(now);
        settings = now;
      }
      return (server ?? files).send(message);
    },
  };
  let daily: NodeJS.Timeout | undefined;
  async function sweep(): Promise<void> {
    try {
      const isKnown = async (id: string) => (await accounts.find(id)) !== undefined;
      await files.sweep({ isKnown, before: clock.now() - MOST_TICKET_LIFE * 1000 });
    } catch (error) {
      logger.error({ err: error }, 'the mail folder could not be swept');
    }
  }
  const onSent = (sent: SentLetter) =>
    sent.outcome === 'refused' ? logger.warn(sent, 'mail refused') : logger.info(sent, 'mail');
  const writing = { accounts, tickets, mail, files, origin, clock, onSent };
  const kept = { consumers, audit, done, quotaStore: quotas };
  return {
    parts: { ...people, ...kept, passwords, registration, listedRoles, tickets, files, truncateJournal },
    deliver: { [MAIL_TOPIC]: letters(writing), [ERASURE_TOPIC]: erasures({ files, truncateJournal }) },
    async sweep() {
      daily ??= setInterval(() => void sweep(), SWEEP_INTERVAL).unref();
      await sweep();
    },
    close() {
      clearInterval(daily);
      server?.close();
    },
  };
}
