/** Mail: into files that their owner alone may read, or by SMTP; and nothing that somebody says becomes a header. */
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { isMailable, type MailMessage } from '../../src/accounts/mail.ts';
import { type KeptMail, MailFiles } from '../../src/accounts/mail-files.ts';
import { SmtpMail } from '../../src/accounts/mail-smtp.ts';

const OWNER = 'a'.repeat(24);
const TAG = 'b'.repeat(32);
const NOW = 1_800_000_000;

const message = (more: Partial<MailMessage> = {}): MailMessage => ({
  id: 'message-000000000000000',
  kind: 'confirm-email',
  owner: OWNER,
  to: 'ada@example.com',
  subject: 'Confirm your address',
  text: 'Here is a ticket:\n\nxyz\n',
  at: NOW,
  ...more,
});

const addresses = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.tuple(fc.string({ unit: 'grapheme' }), fc.string()).map((parts) => parts.join('@')),
  fc
    .tuple(
      fc.emailAddress(),
      fc.constantFrom('\r\nBcc: eve@x.org', '\n\nboo', ', eve@x.org', '>', '\u2028x', '\0'),
    )
    .map((parts) => parts.join('')),
  fc.emailAddress(),
);

describe('mail in files', () => {
  let data: string;
  let files: MailFiles;
  beforeEach(() => {
    data = mkdtempSync(join(tmpdir(), 'countersign-mail-'));
    files = new MailFiles(data);
  });
  afterEach(() => rmSync(data, { recursive: true }));
  const names = (owner = OWNER) => readdirSync(join(data, 'mail', owner));

  it('lies in a folder for each person, for the owner of the process alone', async () => {
    expect(await files.send(message())).toBe('sent');
    expect(names()).toEqual(['message-000000000000000.eml']);
    for (const folder of ['mail', `mail/${OWNER}`])
      expect(statSync(join(data, folder)).mode & 0o777).toBe(0o700);
    expect(statSync(join(data, 'mail', OWNER, names()[0] as string)).mode & 0o777).toBe(0o600);
  });

  it('is a message as RFC 5322 has it', async () => {
    await files.send(message());
    const { content } = (await files.kept(OWNER))[0] as KeptMail;
    expect(
      content
        .split('\n\n')[0]
        ?.split('\n')
        .map((line) => line.split(': ', 1)[0]),
    ).toEqual([
      'Message-ID',
      'Date',
      'To',
      'Subject',
      'X-Countersign-Kind',
      'MIME-Version',
      'Content-Type',
      'Content-Transfer-Encoding',
    ]);
    expect(content).toMatch(/\n\nHere is a ticket:\n\nxyz\n$/);
  });

  it('is there once, however often it is delivered', async () => {
    await Promise.all([files.send(message()), files.send(message()), files.send(message())]);
    expect(names()).toHaveLength(1);
  });

  it('is forgotten with its folder, and nobody else’s', async () => {
    await files.send(message());
    await files.send(message({ owner: TAG }));
    await files.forget(OWNER);
    await files.forget(OWNER);
    expect(readdirSync(join(data, 'mail'))).toEqual([TAG]);
    expect(await files.kept(OWNER)).toEqual([]);
  });

  it('is read beside somebody who removes it', async () => {
    await files.send(message());
    // What was listed, and is gone when it is opened.
    symlinkSync('nowhere', join(data, 'mail', OWNER, 'message-111111111111111.eml'));
    expect((await files.kept(OWNER)).map(({ id }) => id)).toEqual(['message-000000000000000']);
  });

  it.each(['..', '.', '', '../x', OWNER.toUpperCase(), 'a'.repeat(25), `${OWNER}/..`])(
    'leads nowhere else: "%s" is nobody',
    async (owner) => {
      writeFileSync(join(data, 'kept'), '');
      await expect(files.send(message({ owner }))).rejects.toThrow();
      await expect(files.forget(owner)).rejects.toThrow();
      await expect(files.kept(owner)).rejects.toThrow();
      expect(readdirSync(data)).toContain('kept');
    },
  );

  it.each(['../../kept', 'short', 'x'.repeat(65), 'with space.............'])(
    'nor does the id %s',
    async (id) => {
      await expect(files.send(message({ id }))).rejects.toThrow();
    },
  );

  it('is swept away where its account is gone, and of an invitation when that has ended', async () => {
    const other = 'c'.repeat(24);
    const old = 'd'.repeat(32);
    for (const owner of [OWNER, other, TAG, old]) await files.send(message({ owner }));
    utimesSync(join(data, 'mail', old), NOW - 100, NOW - 100);
    utimesSync(join(data, 'mail', TAG), NOW, NOW);
    await files.sweep({ isKnown: (id) => id === OWNER, before: (NOW - 1) * 1000 });
    expect(readdirSync(join(data, 'mail')).sort()).toEqual([OWNER, TAG]);
  });

  it('has the header that we gave it, whatever an address holds', async () => {
    await fc.assert(
      fc.asyncProperty(addresses, async (to) => {
        const outcome = await files.send(message({ to }));
        expect(outcome).toBe(isMailable(to) ? 'sent' : 'refused');
        if (outcome === 'refused') return;
        const { content } = (await files.kept(OWNER))[0] as KeptMail;
        const head = content.slice(0, content.indexOf('\n\n')).split(/\r\n|[\r\n\u0085\u2028\u2029]/);
        expect(head).toHaveLength(8);
        expect(head[2]).toBe(`To: ${to}`);
      }),
      { numRuns: 300 },
    );
  });
});

describe('an address', () => {
  it.each(['ada@example.com', "o'hara+x@sub.example.org", 'zoë@example.com'])('may be %s', (address) => {
    expect(isMailable(address)).toBe(true);
  });

  it.each([
    'ada',
    '@example.com',
    'ada@',
    'a@b@c',
    'ada @example.com',
    'ada@example.com\n',
    'ada@example.com\r\nBcc: eve@example.com',
    'ada@example.com,eve@example.com',
    'Ada <ada@example.com>',
    '"a b"@example.com',
    'a\u202e@example.com',
    `${'a'.repeat(250)}@x.org`,
  ])('may not be %j', (address) => {
    expect(isMailable(address)).toBe(false);
  });
});

/** A mail server that takes what it is given, and keeps it. */
class TestServer {
  readonly commands: string[] = [];
  readonly messages: string[] = [];
  readonly port: number;
  /** What it says to a command, by its first word; 250 otherwise. */
  answers: Record<string, string> = {};
  private static readonly WORDS: Record<string, string> = { DATA: '354 go on', QUIT: '221 bye' };

  private constructor(port: number) {
    this.port = port;
  }

  static async start(): Promise<TestServer> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      started.serve(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const started = new TestServer((server.address() as AddressInfo).port);
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return started;
  }

  private serve(socket: Socket): void {
    let received = '';
    let isData = false;
    socket.on('error', () => {});
    socket.write('220 test\r\n');
    socket.on('data', (chunk) => {
      received += chunk.toString('utf8');
      for (;;) {
        const end = received.indexOf(isData ? '\r\n.\r\n' : '\r\n');
        if (end === -1) return;
        const text = received.slice(0, end);
        received = received.slice(end + (isData ? 5 : 2));
        if (isData) this.messages.push(text);
        else this.commands.push(text);
        const word = isData ? 'MESSAGE' : (text.split(/[ :]/)[0] as string).toUpperCase();
        const said = this.answers[word] ?? TestServer.WORDS[word] ?? '250 fine';
        isData = word === 'DATA' && said.startsWith('354');
        socket.write(`${said}\r\n`);
      }
    });
  }
}

describe('mail by SMTP', () => {
  let server: TestServer;
  let mail: SmtpMail;
  beforeEach(async () => {
    server = await TestServer.start();
    mail = new SmtpMail({
      host: '127.0.0.1',
      port: server.port,
      secure: false,
      isLoopback: true,
      from: 'countersign@example.com',
    });
  });
  afterEach(() => mail.close());

  it('goes to one recipient, with the id that it has in the log', async () => {
    expect(await mail.send(message())).toBe('sent');
    expect(server.commands.filter((line) => line.startsWith('RCPT'))).toEqual(['RCPT TO:<ada@example.com>']);
    expect(server.messages[0]).toContain('Message-ID: <message-000000000000000@example.com>');
    expect(server.messages[0]).toContain('To: ada@example.com');
  });

  it('is not sent again where the server says that it would be refused again', async () => {
    server.answers = { RCPT: '550 no such mailbox' };
    expect(await mail.send(message())).toBe('refused');
  });

  it.each([
    ['refuses for now', { RCPT: '451 later' }],
    ['knows nobody at all', { EHLO: '421 gone', HELO: '421 gone' }],
    ['fails at the end', { MESSAGE: '452 full' }],
  ])(
    'rejects where the server %s, with no word of the addressee',
    async (_what, answers: Record<string, string>) => {
      server.answers = Object.fromEntries(
        Object.entries(answers).map(([word, text]) => [word, `${text} ada@example.com`]),
      );
      const error = await mail.send(message()).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(Error);
      const { message: told, stack, cause, ...rest } = error as Error & Record<string, unknown>;
      expect(JSON.stringify([told, stack, cause, rest])).not.toMatch(/ada@|example\.com/);
    },
  );

  it('asks a server beyond this machine for TLS first', async () => {
    server.answers = { STARTTLS: '454 not here' };
    const far = new SmtpMail({
      host: '127.0.0.1',
      port: server.port,
      secure: false,
      isLoopback: false,
      user: 'ada',
      password: 'open sesame',
      from: 'countersign@example.com',
    });
    onTestFinished(() => far.close());
    await expect(far.send(message())).rejects.toThrow('did not take the message');
    expect(server.commands.join()).not.toMatch(/AUTH|MAIL|sesame/);
  });

  it('has one recipient and the header that we gave it, whatever an address holds', async () => {
    await fc.assert(
      fc.asyncProperty(addresses, async (to) => {
        server.commands.length = 0;
        server.messages.length = 0;
        const outcome = await mail.send(message({ to })).catch(() => 'failed');
        if (!isMailable(to)) expect(outcome).toBe('refused');
        const recipients = server.commands.filter((line) => /^RCPT/i.test(line));
        expect(recipients.length).toBeLessThanOrEqual(1);
        for (const content of server.messages) {
          const head = content.slice(0, content.indexOf('\r\n\r\n')).replace(/\r\n[ \t]/g, ' ');
          const fields = head.split('\r\n').map((line) => line.split(':', 1)[0]?.toLowerCase());
          expect(fields.sort()).toEqual([
            'auto-submitted',
            'content-transfer-encoding',
            'content-type',
            'date',
            'from',
            'message-id',
            'mime-version',
            'subject',
            'to',
          ]);
        }
      }),
      { numRuns: 60 },
    );
  });
});
