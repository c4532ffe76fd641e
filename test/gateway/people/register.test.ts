/** Registering over the wire: who may, what comes back, what is refused, and what is kept. */
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type TicketPurpose, Tickets } from '../../../src/accounts/ticket.ts';
import { loadConfig } from '../../../src/config/config.ts';
import { capturedLog } from '../captured-log.ts';
import { type Key, send, sign } from '../wire.ts';
import {
  EMAIL,
  idempotencyKey,
  PASSWORD,
  type PeopleScene,
  type PersonReply,
  peopleScene,
} from './people-scene.ts';

const OPEN = { settings: { accounts: { registration: 'open' } } };
const INVITED = { settings: { accounts: { registration: 'invited' } } };
const PERSON = { firstName: 'Ada', lastName: 'Lovelace', email: EMAIL, password: PASSWORD };
const DAY = 24 * 3600;

interface Registered {
  readonly account: string;
  readonly key: { readonly keyid: string; readonly secret: string; readonly expires: string };
}

function register(
  { call }: PeopleScene,
  person: unknown = PERSON,
  headers: Readonly<Record<string, string>> = {},
): Promise<PersonReply> {
  return call({ method: 'POST', path: '/v1/register', body: person, headers });
}

async function registered(scene: PeopleScene, person: object = PERSON): Promise<Registered> {
  const { status, json } = await register(scene, person);
  expect(status).toBe(201);
  return json as unknown as Registered;
}

/** As a mail brings it. */
function ticketFor(
  { gateway: { store, clock } }: PeopleScene,
  email: string,
  given: {
    roles?: string[];
    purpose?: TicketPurpose;
    issuedAt?: number;
    account?: { id: string; generation: number };
  } = {},
): Promise<string> {
  const tickets = new Tickets({ vault: store.vault, clock });
  const { purpose = 'invitation', issuedAt = Math.floor(clock.now() / 1000), roles, account } = given;
  const id = randomBytes(24).toString('base64url');
  return tickets.issue({
    id,
    purpose,
    issuedAt,
    address: tickets.addressTag(email),
    ...(roles && { roles }),
    ...(account && { account }),
  });
}

/** What the gateway says of who signs. */
async function whoami({ gateway }: PeopleScene, key: Key): Promise<{ status: number; body: object }> {
  const draft = { method: 'GET', target: '/v1/whoami', host: 'localhost' };
  const { status, body } = await send(gateway, sign(gateway, key, draft));
  return { status, body: JSON.parse(body) };
}

const faultsOf = ({ json }: PersonReply) => (json.errors as { path: string }[]).map(({ path }) => path);

describe('where registration is open', () => {
  test('an address of somebody else is theirs once they set a password by mail, with no key left behind', async () => {
    const scene = await peopleScene(OPEN);
    const { account: id, key } = await registered(scene);
    const setPassword = async (password: string, generation: number) => {
      const ticket = await ticketFor(scene, EMAIL, {
        purpose: 'reset-password',
        account: { id, generation },
      });
      const call = { method: 'POST', path: '/v1/password/reset', body: { ticket, password } };
      expect((await scene.call(call)).status).toBe(204);
    };
    expect((await whoami(scene, key)).status).toBe(200);
    await setPassword('the owner has another', 0);
    expect((await whoami(scene, key)).body).toMatchObject({ code: 'key-inactive' });

    // From then on a forgotten password is no reason to stop the owner's programs.
    const { json } = await scene.logIn({ password: 'the owner has another' });
    const { json: fresh } = await scene.call({
      method: 'POST',
      path: '/v1/account/keys',
      bearer: json.accessToken,
      headers: idempotencyKey(),
      body: { password: 'the owner has another' },
    });
    await setPassword('the owner forgot it', 1);
    expect((await whoami(scene, fresh as unknown as Key)).status).toBe(200);
  });

  test('somebody gets an account and a key that ends', async () => {
    const scene = await peopleScene(OPEN);
    const { status, headers, json } = await register(scene);
    expect(status).toBe(201);
    expect(headers).toMatchObject({ location: '/v1/account', 'cache-control': 'no-store, no-transform' });
    expect(json).toEqual({
      account: expect.stringMatching(/^[0-9a-f]{24}$/),
      key: {
        keyid: expect.stringMatching(/^person-[0-9a-z]{12}\.[\w-]{12}$/),
        secret: expect.stringMatching(/^[\w+/]{86}==$/),
        expires: new Date((Math.floor(scene.gateway.clock.now() / 1000) + 90 * DAY) * 1000).toISOString(),
      },
    });
  });

  test('the key signs calls at once, until it ends, and the person logs in', async () => {
    const scene = await peopleScene(OPEN);
    const { key } = await registered(scene);
    expect(await whoami(scene, key)).toMatchObject({
      status: 200,
      body: { consumer: key.keyid.split('.')[0], keyid: key.keyid, roles: [] },
    });
    expect((await scene.logIn()).status).toBe(200);
    scene.gateway.clock.advance(90 * DAY);
    expect(await whoami(scene, key)).toMatchObject({ status: 401, body: { code: 'key-inactive' } });
  });

  test('the same call under one Idempotency-Key is answered alike, and makes one account', async () => {
    const scene = await peopleScene(OPEN);
    const headers = idempotencyKey();
    const [first, again] = [await register(scene, PERSON, headers), await register(scene, PERSON, headers)];
    expect([first.status, again.status, again.json]).toEqual([201, 201, first.json]);
    expect(again.headers['idempotent-replayed']).toBe('true');
    expect(await scene.gateway.store.accounts.list()).toHaveLength(1);
    const other = await register(scene, { ...PERSON, lastName: 'King' }, headers);
    expect([other.status, other.json.code]).toEqual([422, 'idempotency-mismatch']);
    // Whoever doesn't know the whole call, its password too, gets nothing of the key.
    const guess = await register(scene, { ...PERSON, password: 'another good password' }, headers);
    expect([guess.status, guess.json.code]).toEqual([422, 'idempotency-mismatch']);
  });

  test('what was answered under a key is erased with the account', async () => {
    const scene = await peopleScene(OPEN);
    const headers = idempotencyKey();
    const first = await register(scene, PERSON, headers);
    const { json } = await scene.logIn();
    const erasure = { method: 'DELETE', path: '/v1/account', body: { password: PASSWORD } };
    const erased = await scene.call({ ...erasure, bearer: json.accessToken, headers: idempotencyKey() });
    expect(erased.status).toBe(204);
    const again = await register(scene, PERSON, headers);
    expect([again.status, again.headers['idempotent-replayed']]).toEqual([201, undefined]);
    expect(again.json.account).not.toBe(first.json.account);
  });

  test('an address that is taken is told, in whatever letters it comes, and is not repeated', async () => {
    const scene = await peopleScene(OPEN);
    await registered(scene);
    for (const email of [EMAIL, EMAIL.toUpperCase()]) {
      const { status, json, text } = await register(scene, { ...PERSON, email });
      expect([status, json.code]).toEqual([409, 'conflict']);
      expect(text.toLowerCase()).not.toContain(EMAIL);
    }
    expect(await scene.gateway.store.accounts.list()).toHaveLength(1);
    expect(scene.gateway.store.consumers.list().map(({ name }) => name)).toHaveLength(2);
  });

  test('of two at once with one address, one is registered', async () => {
    const scene = await peopleScene(OPEN);
    const replies = await Promise.all([1, 2, 3].map(() => register(scene)));
    expect(replies.map(({ status }) => status).sort()).toEqual([201, 409, 409]);
  });

  test('a form does as well as JSON', async () => {
    const scene = await peopleScene(OPEN);
    const form = new URLSearchParams(PERSON).toString();
    const { status } = await register(scene, form, { 'Content-Type': 'application/x-www-form-urlencoded' });
    expect(status).toBe(201);
  });

  test('log and audit record know the random id alone', async () => {
    const log = capturedLog();
    const scene = await peopleScene({ ...OPEN, logger: log.logger });
    const { account } = await registered(scene);
    await register(scene);
    const rows = JSON.stringify([...scene.gateway.store.audit.rows()]);
    expect(rows).toContain(account);
    for (const word of [EMAIL, 'Lovelace', PASSWORD]) {
      expect(rows).not.toContain(word);
      expect(JSON.stringify(log.lines)).not.toContain(word);
    }
  });

  test('what is registered wrongly is refused with every fault at once', async () => {
    const scene = await peopleScene(OPEN);
    const reply = await register(scene, { firstName: '', lastName: 'x\u0000', email: 'ada', password: 'x' });
    expect([reply.status, reply.json.code]).toEqual([422, 'validation-failed']);
    expect(faultsOf(reply)).toEqual(['firstName', 'lastName', 'email', 'password']);
    const empty = await register(scene, {});
    expect(faultsOf(empty)).toEqual(['firstName', 'lastName', 'email', 'password']);
  });

  test.each<[string, object, string]>([
    ['a name of 101 characters', { firstName: 'x'.repeat(101) }, 'firstName'],
    ['a name that is a number', { lastName: 7 }, 'lastName'],
    ['a name that is an object', { lastName: { $ne: null } }, 'lastName'],
    ['a header in a name', { firstName: 'A\r\nSet-Cookie: a=b' }, 'firstName'],
    ['a header in the address', { email: 'a@example.org\r\nBcc: eve@example.org' }, 'email'],
    ['two addresses', { email: 'a@example.org,b@example.org' }, 'email'],
    ['an address of 300 characters', { email: `${'a'.repeat(288)}@example.org` }, 'email'],
    ['SQL in the address', { email: "' OR 1=1 --" }, 'email'],
    ['a common password', { password: 'football' }, 'password'],
    ['a password of seven characters', { password: 'x1$Gh_q' }, 'password'],
    ['a password of 257 characters', { password: 'x'.repeat(257) }, 'password'],
    ['a control character in the password', { password: 'correct\u0007horse' }, 'password'],
    ['the address as the password', { password: EMAIL }, 'password'],
    ['roles of one’s own choosing', { roles: ['operator'] }, 'roles'],
    ['an id of one’s own choosing', { id: '0'.repeat(24) }, 'id'],
  ])('%s is refused by its name', async (_, fault, path) => {
    const scene = await peopleScene(OPEN);
    const reply = await register(scene, { ...PERSON, ...fault });
    expect([reply.status, faultsOf(reply)]).toEqual([422, [path]]);
    expect(await scene.gateway.store.accounts.list()).toEqual([]);
  });

  test.each([
    ["Robert'); DROP TABLE accounts;--", "' OR '1'='1"],
    ['<script>alert(1)</script>', '"><img src=x onerror=alert(2)>'],
    ['%00 %s {{7*7}}', '../../etc/passwd'],
    ['Ó Súilleabháin', '李 👩‍🚀'],
  ])(
    'the names %s and %s are stored and come back as the text that they are',
    async (firstName, lastName) => {
      const scene = await peopleScene(OPEN);
      await registered(scene, { ...PERSON, email: "o'brien--@example.org", firstName, lastName });
      await registered(scene);
      const { json } = await scene.logIn({ email: "o'brien--@example.org" });
      const { status, json: shown } = await scene.call({ path: '/v1/account', bearer: json.accessToken });
      expect(status).toBe(200);
      expect(shown).toMatchObject({ firstName, lastName, email: "o'brien--@example.org" });
      expect(await scene.gateway.store.accounts.list()).toHaveLength(2);
    },
  );

  test('no JSON, however odd, is answered with anything but a refusal that has a code', async () => {
    const scene = await peopleScene(OPEN);
    const member = fc.oneof(fc.string({ unit: 'binary' }), fc.jsonValue());
    const person = fc.record(
      { firstName: member, lastName: member, email: member, password: member, ticket: member, more: member },
      { requiredKeys: [] },
    );
    // What has no text, whoever asks for it.
    const textless = { toString: 1, valueOf: null };
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.jsonValue(), person), async (body) => {
        const text = JSON.stringify(body);
        const { status, json } = await register(scene, text, { 'Content-Type': 'application/json' });
        expect([400, 401, 422]).toContain(status);
        expect(json.code).toMatch(/^(json-malformed|validation-failed|token-invalid)$/);
      }),
      {
        numRuns: 150,
        examples: [[{ ...PERSON, email: textless }], [{ ...PERSON, ticket: textless }], [null]],
      },
    );
    expect(await scene.gateway.store.accounts.list()).toEqual([]);
  });

  test('bytes that are no JSON are refused', async () => {
    const scene = await peopleScene(OPEN);
    const type = { 'Content-Type': 'application/json' };
    for (const body of [
      '{',
      '[1',
      'null x',
      '{"firstName":"a","firstName":"b"}',
      '{"__proto__":{}}',
      '\u0000',
    ]) {
      expect((await register(scene, body, type)).json.code).toBe('json-malformed');
    }
    expect((await register(scene, 'x', { 'Content-Type': 'text/plain' })).status).toBeGreaterThanOrEqual(400);
    const long = await register(scene, { ...PERSON, firstName: 'x'.repeat(70_000) });
    expect([long.status, long.json.code]).toEqual([413, 'body-too-large']);
  });

  test('the secret goes over TLS or true loopback alone', async () => {
    const settings = { ...OPEN.settings, trustedProxies: ['127.0.0.1'] };
    const scene = await peopleScene({ settings });
    const far = { 'X-Forwarded-For': '203.0.113.7', 'X-Forwarded-Proto': 'http' };
    const { status, json } = await register(scene, PERSON, far);
    expect([status, json.code]).toEqual([403, 'key-forbidden']);
    expect(await scene.gateway.store.accounts.list()).toEqual([]);
  });

  test('an address can register so often, and then waits', async () => {
    const scene = await peopleScene(OPEN);
    const refused: PersonReply[] = [];
    for (let batch = 0; batch < 6 && refused.length === 0; batch++) {
      const replies = await Promise.all(Array.from({ length: 25 }, () => register(scene)));
      refused.push(...replies.filter(({ status }) => status === 429));
    }
    expect(refused[0]?.json.code).toBe('rate-limited');
    expect(Number(refused[0]?.headers['retry-after'])).toBeGreaterThan(0);
    scene.gateway.clock.advance(60);
    expect((await register(scene)).status).toBe(409);
  });
});

describe('where registration is by invitation', () => {
  test('the ticket says which roles, and that mail reaches the address', async () => {
    const scene = await peopleScene(INVITED);
    const ticket = await ticketFor(scene, EMAIL.toUpperCase(), { roles: ['orders', 'operator'] });
    const { account, key } = await registered(scene, { ...PERSON, ticket });
    expect(await scene.gateway.store.accounts.find(account)).toMatchObject({
      roles: ['orders', 'operator'],
      emailConfirmedAt: Math.floor(scene.gateway.clock.now() / 1000),
    });
    // A key is one factor, and an operator needs two.
    expect((await whoami(scene, key)).body).toMatchObject({ roles: ['orders'] });
  });

  test('nobody registers without a ticket, and none is good twice', async () => {
    const scene = await peopleScene(INVITED);
    const without = await register(scene);
    expect([without.status, faultsOf(without)]).toEqual([422, ['ticket']]);
    const ticket = await ticketFor(scene, EMAIL);
    const person = { ...PERSON, ticket };
    const replies = await Promise.all([register(scene, person), register(scene, person)]);
    expect(replies.map(({ status }) => status).sort()).toEqual([201, 409]);
    const [account] = await scene.gateway.store.accounts.list();
    await scene.gateway.store.commitGroup.run('erase', (tx) => tx.accounts.remove(account?.id ?? ''));
    const again = await register(scene, person);
    expect([again.status, again.json.code]).toEqual([401, 'token-invalid']);
    expect(await scene.gateway.store.accounts.list()).toEqual([]);
  });

  test('a ticket for another address, another purpose or another time is refused', async () => {
    const scene = await peopleScene(INVITED);
    const other = await register(scene, { ...PERSON, ticket: await ticketFor(scene, 'bob@example.org') });
    expect([other.status, faultsOf(other)]).toEqual([422, ['email']]);
    const long = Math.floor(scene.gateway.clock.now() / 1000) - 8 * DAY;
    for (const ticket of [
      await ticketFor(scene, EMAIL, { purpose: 'confirm-email' }),
      await ticketFor(scene, EMAIL, { issuedAt: long }),
      (await ticketFor(scene, EMAIL)).slice(0, -2),
      'x',
      '',
    ]) {
      const { status, json } = await register(scene, { ...PERSON, ticket });
      expect([status, json.code]).toEqual([401, 'token-invalid']);
    }
  });

  test('a ticket is good where registration is open, too', async () => {
    const scene = await peopleScene(OPEN);
    const ticket = await ticketFor(scene, EMAIL, { roles: ['orders'] });
    const { account } = await registered(scene, { ...PERSON, ticket });
    expect((await scene.gateway.store.accounts.find(account))?.roles).toEqual(['orders']);
  });
});

describe('where registration is closed, as it is unless it is opened', () => {
  test('there is none, with a ticket neither, and nothing is looked at', async () => {
    const scene = await peopleScene();
    const ticket = await ticketFor(scene, EMAIL);
    for (const person of [PERSON, { ...PERSON, ticket }, {}, { email: 'x' }]) {
      const { status, json } = await register(scene, person);
      expect([status, json.code]).toEqual([404, 'not-found']);
      expect(json.detail).toMatch(/countersign account add/);
    }
  });

  test('a running gateway opens and closes it', async () => {
    const scene = await peopleScene();
    const reload = (registration: 'open' | 'closed') =>
      scene.gateway.reload({
        ...loadConfig({ COUNTERSIGN_PUBLIC_ORIGINS: 'http://localhost' }),
        accounts: { registration },
      });
    reload('open');
    expect((await register(scene)).status).toBe(201);
    reload('closed');
    expect((await register(scene)).status).toBe(404);
  });
});
