/** Tickets: good for one purpose, once, for whom they were made; and no ticket is an access token. */
import { createHmac, generateKeyPairSync, randomBytes } from 'node:crypto';
import { SignJWT } from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import { AccessTokens } from '../../src/accounts/access-token.ts';
import type { Account } from '../../src/accounts/account.ts';
import { TICKET_LIFE, type TicketDraft, Tickets, ticketHolder } from '../../src/accounts/ticket.ts';
import { KeyVault } from '../../src/consumers/key-vault.ts';
import { ManualClock } from '../storage/manual-clock.ts';

const NOW = 1_800_000_000;
const vault = new KeyVault(new Map([[1, randomBytes(32)]]));
const invalid = expect.objectContaining({ code: 'token-invalid' });

let clock: ManualClock;
let tickets: Tickets;
beforeEach(() => {
  clock = new ManualClock(NOW);
  tickets = new Tickets({ vault, clock });
});

const ada: Account = {
  id: 'a'.repeat(24),
  firstName: 'Ada',
  lastName: 'Lovelace',
  email: 'Ada@example.com',
  passwordHash: '',
  roles: [],
  generation: 3,
  createdAt: NOW,
  version: 1,
};

function draft(more: Partial<TicketDraft> = {}): TicketDraft {
  const { id, generation } = ada;
  return {
    id: randomBytes(16).toString('base64url'),
    purpose: 'reset-password',
    account: { id, generation },
    address: tickets.addressTag(ada.email),
    issuedAt: NOW,
    ...more,
  };
}

function holder(account: Account | undefined, ticket: Parameters<typeof ticketHolder>[1]) {
  return ticketHolder(account, ticket, (email) => tickets.addressTag(email));
}

describe('A4: a ticket', () => {
  it('says what it was made from, to whoever asks for its purpose', async () => {
    const made = draft();
    const read = await tickets.read(await tickets.issue(made), 'reset-password');
    expect(read).toEqual({ ...made, expiresAt: NOW + TICKET_LIFE['reset-password'] });
    expect(holder(ada, read)).toBe(ada);
  });

  it('bears an invitation with its roles, and no address in clear', async () => {
    const { account, ...made } = draft({ purpose: 'invitation', roles: ['orders:read'] });
    const text = await tickets.issue(made);
    expect(await tickets.read(text, 'invitation')).toMatchObject({ roles: ['orders:read'] });
    expect(Buffer.from(text.split('.')[1] as string, 'base64url').toString()).not.toMatch(/example/i);
  });

  it('is good until its last second, and then expired', async () => {
    const text = await tickets.issue(draft());
    clock.seconds = NOW + TICKET_LIFE['reset-password'] - 1;
    await expect(tickets.read(text, 'reset-password')).resolves.toBeDefined();
    clock.seconds = NOW + TICKET_LIFE['reset-password'];
    await expect(tickets.read(text, 'reset-password')).rejects.toEqual(invalid);
  });

  it('is good for no other purpose', async () => {
    const text = await tickets.issue(draft());
    await expect(tickets.read(text, 'confirm-email')).rejects.toEqual(invalid);
    await expect(tickets.read(text, 'invitation')).rejects.toEqual(invalid);
  });

  it.each([
    ['of another account', { ...ada, id: 'b'.repeat(24) }],
    ['from before the current generation', { ...ada, generation: 4 }],
    ['of an account that is closed', { ...ada, disabledAt: NOW }],
    ['of another address', { ...ada, email: 'eve@example.com' }],
    ['of an account that is gone', undefined],
  ])('%s is not good', async (_what, account) => {
    const read = await tickets.read(await tickets.issue(draft()), 'reset-password');
    expect(() => holder(account, read)).toThrow(invalid);
  });

  it('is compared by the address, however it is spelled', () => {
    expect(tickets.addressTag('ADA@example.com')).toBe(tickets.addressTag('ada@example.com'));
    expect(tickets.addressTag('ada@example.com')).toMatch(/^[0-9a-f]{32}$/);
  });
});

const claims = () => ({ purpose: 'reset-password', address: 'x', gen: 3 });
const signed = (header: { alg: string; typ?: string }, key: Uint8Array, aud = 'countersign-ticket') =>
  new SignJWT(claims())
    .setProtectedHeader(header)
    .setAudience(aud)
    .setJti('i'.repeat(22))
    .setSubject(ada.id)
    .setIssuedAt(NOW)
    .setExpirationTime(NOW + 60)
    .sign(key);
const unsigned = () => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = { ...claims(), jti: 'i', sub: ada.id, iat: NOW, exp: NOW + 60, aud: 'countersign-ticket' };
  return `${part({ alg: 'none', typ: 'ticket+jwt' })}.${part(body)}.`;
};

describe('a ticket is refused', () => {
  const key = vault.derivedKey('ticket');
  it.each([
    ['under no key at all', async () => unsigned()],
    ['under another key', () => signed({ alg: 'HS256', typ: 'ticket+jwt' }, randomBytes(32))],
    ['under another algorithm', () => signed({ alg: 'HS512', typ: 'ticket+jwt' }, Buffer.concat([key, key]))],
    ['of another type', () => signed({ alg: 'HS256', typ: 'at+jwt' }, key)],
    ['of no type', () => signed({ alg: 'HS256' }, key)],
    ['for another audience', () => signed({ alg: 'HS256', typ: 'ticket+jwt' }, key, 'http://localhost')],
    ['that is nothing', async () => ''],
    ['that is no ticket', async () => 'x.y.z'],
    ['that is a book', async () => 'x'.repeat(100_000)],
  ])('%s', async (_what, make) => {
    await expect(tickets.read(await make(), 'reset-password')).rejects.toEqual(invalid);
  });

  it('with any of its characters changed', async () => {
    const text = await tickets.issue(draft());
    const other = (character: string) => (character === 'A' ? 'B' : 'A');
    for (let i = 0; i < text.length - 1; i++) {
      const changed = `${text.slice(0, i)}${other(text[i] as string)}${text.slice(i + 1)}`;
      await expect(tickets.read(changed, 'reset-password')).rejects.toEqual(invalid);
    }
  });

  it('the one that is well made is not, so these are refused for what they say', async () => {
    await expect(
      tickets.read(await signed({ alg: 'HS256', typ: 'ticket+jwt' }, key), 'reset-password'),
    ).resolves.toMatchObject({ purpose: 'reset-password' });
  });
});

describe('tickets and access tokens', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const origin = 'https://api.example.com';
  const signing = { kid: 'one', key: privateKey };
  const accounts = { find: async () => ada, refreshTokens: { hasFamily: async () => true } };
  const accessTokens = () =>
    new AccessTokens({
      clock,
      accounts: accounts as never,
      signingKeys: { current: async () => signing, find: async () => publicKey } as never,
      origin: () => origin,
      skew: 30,
    });

  it('are never taken for each other', async () => {
    const access = await accessTokens().issue(ada, [], 'family');
    await expect(accessTokens().verify(access)).resolves.toMatchObject({ account: { id: ada.id } });
    await expect(tickets.read(access, 'reset-password')).rejects.toEqual(invalid);
    await expect(accessTokens().verify(await tickets.issue(draft()))).rejects.toEqual(invalid);
  });

  it('not even where a ticket names the audience, the type and the claims of the other', async () => {
    const { id: sub, generation: gen } = ada;
    const forged = await new SignJWT({ name: 'Ada', roles: [], gen, sid: 'family' })
      .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt', kid: 'one' })
      .setIssuer(origin)
      .setAudience(origin)
      .setSubject(sub)
      .setJti('i'.repeat(22))
      .setIssuedAt(NOW)
      .setExpirationTime(NOW + 60)
      .sign(vault.derivedKey('ticket'));
    await expect(accessTokens().verify(forged)).rejects.toEqual(invalid);
  });

  it('differ in key from every other MAC that is made of the vault', () => {
    const mac = (purpose: 'ticket' | 'email') =>
      createHmac('sha256', vault.derivedKey(purpose)).update('x').digest('hex');
    expect(mac('ticket')).not.toBe(mac('email'));
  });
});
