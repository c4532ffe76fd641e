/** Letters: made when they are sent, for whoever is still there, and nobody waits behind another's full mailbox. */
import { randomBytes } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { Account } from '../../src/accounts/account.ts';
import {
  type LetterRequest,
  letter,
  letters,
  MAIL_TOPIC,
  type SentLetter,
} from '../../src/accounts/letters.ts';
import type { Mail, MailMessage } from '../../src/accounts/mail.ts';
import { MailFiles } from '../../src/accounts/mail-files.ts';
import { TICKET_LIFE, Tickets } from '../../src/accounts/ticket.ts';
import { KeyVault } from '../../src/consumers/key-vault.ts';
import { Deliveries } from '../../src/idempotency/delivery.ts';
import { Owner } from '../../src/idempotency/owner.ts';
import { SqliteStore } from '../../src/storage/sqlite/store.ts';
import { dataFolder } from '../storage/data-folder.ts';
import { ManualClock } from '../storage/manual-clock.ts';

const NOW = 1_800_000_000;
const KEY = 'k'.repeat(43);

const ada: Account = {
  id: 'a'.repeat(24),
  firstName: 'http://evil.example',
  lastName: 'Click here!\r\nBcc: eve@example.org',
  email: 'ada@example.org',
  passwordHash: '',
  roles: [],
  generation: 3,
  createdAt: NOW,
  version: 1,
};

describe('a letter', () => {
  const vault = new KeyVault(new Map([[1, randomBytes(32)]]));
  let clock: ManualClock;
  let tickets: Tickets;
  let account: Account | undefined;
  let sent: MailMessage[];
  let told: SentLetter[];
  let outcome: 'sent' | 'refused';
  let onSend: () => void;
  let files: MailFiles;
  beforeEach(() => {
    clock = new ManualClock(NOW);
    tickets = new Tickets({ vault, clock });
    [account, sent, told, outcome, onSend] = [ada, [], [], 'sent', () => {}];
    files = new MailFiles(dataFolder());
  });

  const mail: Mail = {
    async send(message) {
      sent.push(message);
      onSend();
      return outcome;
    },
  };
  const deliver = async (request: LetterRequest) => {
    const accounts = { find: (id: string) => (account?.id === id ? account : undefined) };
    const parts = { accounts, tickets, mail, files, origin: () => 'https://api.example.com', clock };
    await letters({ ...parts, onSent: (each) => told.push(each) })({ ...request }, KEY);
  };
  const ticketIn = (text: string) => /^eyJ\S+$/m.exec(text)?.[0] ?? '';
  const reset = { kind: 'reset-password', account: ada.id, at: NOW } as const;

  it('holds a ticket for its account, its generation and its address', async () => {
    await deliver(reset);
    const [message] = sent as [MailMessage];
    expect(message).toMatchObject({ id: KEY, kind: 'reset-password', owner: ada.id, to: ada.email });
    expect(message.text).toContain('POST https://api.example.com/v1/password/reset');
    expect(await tickets.read(ticketIn(message.text), 'reset-password')).toMatchObject({
      id: KEY,
      account: { id: ada.id, generation: 3 },
      address: tickets.addressTag(ada.email),
    });
  });

  it('that is delivered twice bears a ticket of one id, which is good once', async () => {
    await deliver(reset);
    clock.seconds += 60;
    await deliver(reset);
    const ids = sent.map(async ({ text }) => (await tickets.read(ticketIn(text), 'reset-password')).id);
    expect(await Promise.all(ids)).toEqual([KEY, KEY]);
  });

  it.each(['confirm-email', 'reset-password', 'password-changed'] as const)(
    'of the kind %s repeats nothing that the person said',
    async (kind) => {
      await deliver({ kind, account: ada.id, at: NOW });
      const [{ subject, text }] = sent as [MailMessage];
      // Without the ticket, whose random letters may spell anything.
      const [ticket] = /^eyJ\S+$/m.exec(text) ?? [''];
      expect(`${subject}${text.replace(ticket, '')}`).not.toMatch(/evil|click|bcc/i);
    },
  );

  it.each<[string, () => void]>([
    ['nobody', () => (account = undefined)],
    ['an account that is closed', () => (account = { ...ada, disabledAt: NOW })],
    ['one for whom it comes too late', () => (clock.seconds += TICKET_LIFE['reset-password'])],
  ])('to %s is not written', async (_whom, change) => {
    change();
    await deliver(reset);
    expect(sent).toEqual([]);
    expect(told).toEqual([{ message: KEY, kind: 'reset-password', outcome: 'unwanted' }]);
  });

  it('that confirms what is confirmed is not written', async () => {
    account = { ...ada, emailConfirmedAt: NOW };
    await deliver({ kind: 'confirm-email', account: ada.id, at: NOW });
    expect(sent).toEqual([]);
  });

  it('leaves no file behind of somebody who was erased while it was sent', async () => {
    const folder = join(dataFolder(), 'mail');
    const kept = new MailFiles(join(folder, '..'));
    files = kept;
    onSend = () => (account = undefined);
    await deliver(reset);
    expect(existsSync(join(folder, ada.id))).toBe(false);
  });

  it('tells the log its id, its kind and what became of it, and no more', async () => {
    outcome = 'refused';
    await deliver(reset);
    expect(told).toEqual([{ message: KEY, kind: 'reset-password', outcome: 'refused' }]);
  });

  it('waits in the queue without address and ticket', () => {
    expect(letter(reset)).toEqual({
      topic: `${MAIL_TOPIC} ${ada.id}`,
      subject: ada.id,
      payload: { kind: 'reset-password', account: ada.id, at: NOW },
    });
  });
});

describe('letters of many', () => {
  it('go out beside one whose mailbox is full, and are gone with their person', async () => {
    const clock = new ManualClock(NOW);
    const folder = dataFolder();
    const store = new SqliteStore({ folder, clock, skew: 30, masterKey: undefined });
    const given: string[] = [];
    const deliveries = new Deliveries({
      queue: store.outbox,
      owner: new Owner(),
      clock,
      onFailure: () => {},
      handlers: {
        [MAIL_TOPIC](payload) {
          const { account } = payload as { account: string };
          if (account === 'full') throw new Error('the mailbox is full');
          given.push(account);
        },
      },
    });
    onTestFinished(async () => {
      await deliveries.close();
      store.close();
      rmSync(folder, { recursive: true });
    });
    const request = (account: string) => letter({ kind: 'confirm-email', account, at: NOW });
    await store.commitGroup.run('queue', async (tx) => {
      for (const account of ['full', 'full', 'bob', 'grace']) await tx.outbox.add(request(account));
    });
    await expect.poll(() => given.toSorted()).toEqual(['bob', 'grace']);
    await expect.poll(() => store.outbox.topics()).toEqual([`${MAIL_TOPIC} full`]);
    await store.commitGroup.run('erase', (tx) => tx.outbox.forget('full'));
    expect(store.outbox.topics()).toEqual([]);
  });
});
