/**
 * The section `accounts.mail`: the server that mail to people goes through. Its password stands in no file of ours: see
 * COUNTERSIGN_SMTP_PASSWORD.
 * @module
 */
import { CountersignError } from '../errors.ts';
import type { Faults } from './faults.ts';
import { isLoopbackHost, readHost } from './origins.ts';
import { group, text } from './setting-types.ts';

export interface MailSettings {
  /** Without the brackets of IPv6. */
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte (smtps); otherwise STARTTLS is demanded, but of a server on this machine. */
  readonly secure: boolean;
  readonly isLoopback: boolean;
  readonly user?: string;
  readonly password?: string;
  /** The sender's address. */
  readonly from: string;
}

type Server = Omit<MailSettings, 'password' | 'from'>;

const SHAPE = /^smtps?:\/\/[^/?#\s]+$/i;
/** RFC 8314 section 3.3: submission, and submission over TLS. */
const PORTS = { 'smtp:': 587, 'smtps:': 465 } as const;

function readServer(given: string): Server {
  const url = SHAPE.test(given) && URL.canParse(given) ? new URL(given) : undefined;
  if (!url?.hostname || url.port === '0') {
    throw invalid('must be a server such as smtps://user@mail.example.com, with nothing after host and port');
  }
  if (url.password !== '') {
    throw invalid(
      'must not hold the password; put it into COUNTERSIGN_SMTP_PASSWORD, or a file that COUNTERSIGN_SMTP_PASSWORD_FILE names',
    );
  }
  const host = readHost(url.hostname);
  const protocol = url.protocol as keyof typeof PORTS;
  return {
    host,
    port: Number(url.port) || PORTS[protocol],
    secure: protocol === 'smtps:',
    isLoopback: isLoopbackHost(host),
    ...(url.username !== '' && { user: decodeURIComponent(url.username) }),
  };
}

/** One address, which goes into a header field as it is. */
const ADDRESS = /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,188}[A-Za-z0-9])?$/;

function readSender(address: string): string {
  if (ADDRESS.test(address)) return address;
  throw invalid('must be an address, such as countersign@example.com');
}

export const mail = group('{ smtp: smtps://user@mail.example.com, from: countersign@example.com }', {
  smtp: text('a server, such as smtps://user@mail.example.com', readServer),
  from: text('the address that mail comes from', readSender),
});

export const mailSettings = Object.keys(mail.shape);

/** @param password from the environment; undefined where there is none. */
export function completeMail(
  section: { readonly smtp: Server; readonly from: string } | undefined,
  password: string | undefined,
  faults: Faults,
): MailSettings | undefined {
  if (!section) return undefined;
  const { smtp, from } = section;
  if (smtp.user !== undefined && password === undefined) {
    faults.add('accounts.mail.smtp', 'names a user, and there is no password; set COUNTERSIGN_SMTP_PASSWORD');
  }
  return { ...smtp, from, ...(smtp.user !== undefined && password !== undefined && { password }) };
}

function invalid(detail: string): CountersignError {
  return new CountersignError('config-invalid', detail);
}
