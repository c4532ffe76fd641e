/**
 * Mail by SMTP. A password goes over TLS alone, unless the server is on this machine.
 * @module
 */
import { createTransport, type SMTPTransportOptions } from 'nodemailer';
import type { MailSettings } from '../config/mail.ts';
import { isMailable, type Mail, type MailMessage } from './mail.ts';

const PATIENCE_MS = 10_000;

export class SmtpMail implements Mail {
  private readonly transport: ReturnType<typeof createTransport<unknown>>;
  private readonly from: string;

  constructor({ host, port, secure, isLoopback, user, password, from }: MailSettings) {
    const options: SMTPTransportOptions = {
      host,
      port,
      secure,
      requireTLS: !secure && !isLoopback,
      ...(user !== undefined && { auth: { user, pass: password ?? '' } }),
      tls: { minVersion: 'TLSv1.2' },
      connectionTimeout: PATIENCE_MS,
      greetingTimeout: PATIENCE_MS,
      socketTimeout: PATIENCE_MS,
      disableFileAccess: true,
      disableUrlAccess: true,
    };
    this.transport = createTransport(options);
    this.from = from;
  }

  async send({ id, to, subject, text, at }: MailMessage): Promise<'sent' | 'refused'> {
    if (!isMailable(to)) return 'refused';
    try {
      await this.transport.sendMail({
        // As objects and one by one: nothing in them is parsed.
        from: { name: '', address: this.from },
        to: { name: '', address: to },
        subject,
        text,
        messageId: `<${id}@${this.from.split('@')[1]}>`,
        date: new Date(at * 1000),
        // RFC 3834: nobody's absence notice shall answer it.
        headers: { 'Auto-Submitted': 'auto-generated' },
      });
      return 'sent';
    } catch (error) {
      const { code = 'unknown', responseCode = 0 } = error as { code?: string; responseCode?: number };
      // RFC 5321 section 4.2.1: the server says that the same will be refused again.
      const isFinal = responseCode >= 500 && (code === 'EENVELOPE' || code === 'EMESSAGE');
      if (isFinal) return 'refused';
      // Without its cause: the server's words repeat the address.
      throw new Error(`the mail server did not take the message (${code} ${responseCode})`);
    }
  }

  close(): void {
    this.transport.close();
  }
}
