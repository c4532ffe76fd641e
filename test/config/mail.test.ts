/** `accounts.mail`, and the password that stands in no file of ours. */
import { describe, expect, it } from 'vitest';
import { maskedConfig } from '../../src/config/config.ts';
import { faults, load } from './load.ts';

const FROM = 'from: countersign@example.com';

describe('accounts.mail', () => {
  it('is left out where mail is written into files', () => {
    expect(load('').accounts.mail).toBeUndefined();
  });

  it.each([
    ['smtp://mail.example.com', { host: 'mail.example.com', port: 587, secure: false, isLoopback: false }],
    ['smtps://mail.example.com', { host: 'mail.example.com', port: 465, secure: true }],
    ['smtp://127.0.0.1:1025', { host: '127.0.0.1', port: 1025, isLoopback: true }],
    ['smtp://[::1]:25', { host: '::1', port: 25, isLoopback: true }],
  ])('%s is a server', (smtp, server) => {
    const { mail } = load(`accounts: { mail: { smtp: "${smtp}", ${FROM} } }`).accounts;
    expect(mail).toMatchObject({ ...server, from: 'countersign@example.com' });
  });

  it('takes the password from the environment, and never shows it', () => {
    const yaml = `accounts: { mail: { smtp: "smtps://ada%40x@mail.example.com", ${FROM} } }`;
    const config = load(yaml, { COUNTERSIGN_SMTP_PASSWORD: 'open sesame' });
    expect(config.accounts.mail).toMatchObject({ user: 'ada@x', password: 'open sesame' });
    expect(JSON.stringify(maskedConfig(config))).not.toContain('sesame');
    expect(maskedConfig(config).accounts).toMatchObject({ mail: { password: '(set)' } });
  });

  it.each([
    ['http://mail.example.com', 'must be a server'],
    ['smtp://mail.example.com/path', 'must be a server'],
    ['smtp://', 'must be a server'],
    ['smtps://ada:secret@mail.example.com', 'must not hold the password'],
    ['smtps://ada@mail.example.com', 'there is no password'],
  ])('%s is a fault', (smtp, fault) => {
    const [found] = faults(`accounts: { mail: { smtp: "${smtp}", ${FROM} } }`);
    expect(found).toContain(fault);
    expect(found).not.toContain('secret');
  });

  it.each(['Ada <a@x.org>', 'a@x.org, b@x.org', 'a@x.org\\r\\nBcc: b@x.org', 'nobody'])(
    '%s is no sender',
    (from) => {
      expect(faults(`accounts: { mail: { smtp: "smtp://127.0.0.1", from: "${from}" } }`)[0]).toContain(
        'accounts.mail.from: must be an address',
      );
    },
  );

  it('a password twice is a fault', () => {
    const both = { COUNTERSIGN_SMTP_PASSWORD: 'a', COUNTERSIGN_SMTP_PASSWORD_FILE: '/b' };
    expect(faults('', both)[0]).toContain('stands beside COUNTERSIGN_SMTP_PASSWORD');
  });
});
