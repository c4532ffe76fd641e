/**
 * What each of the systems that this gateway stands for could do, one row each, driven over HTTP. A: the talk that it
 * grew from. B: a company's self-service. C: pictures, keys and what is kept about people. D: a REST service with Basic
 * and JWT. E: a login by form and cookie.
 */
import { createPublicKey, verify } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { TestGatewayOptions } from '../src/testing.ts';
import {
  EMAIL,
  idempotencyKey,
  PASSWORD,
  type PeopleScene,
  type PersonCall,
  type PersonReply,
  peopleScene,
} from './gateway/people/people-scene.ts';
import { type Key, send as sendSigned, sign } from './gateway/wire.ts';

const ADA = { firstName: 'Ada', lastName: 'Lovelace', email: EMAIL, password: PASSWORD };
const DAY = 24 * 3600;

/** A gateway where anybody may register. */
function openScene(options: TestGatewayOptions = {}): Promise<PeopleScene> {
  return peopleScene({ ...options, settings: { accounts: { registration: 'open' }, ...options.settings } });
}

function register({ call }: PeopleScene, more: object = {}): Promise<PersonReply> {
  const headers = idempotencyKey();
  return call({ method: 'POST', path: '/v1/register', headers, body: { ...ADA, ...more } });
}

function post({ call }: PeopleScene, path: string, body?: unknown, bearer?: string): Promise<PersonReply> {
  const more = { ...(body !== undefined && { body }), ...(bearer !== undefined && { bearer }) };
  return call({ method: 'POST', path, headers: idempotencyKey(), ...more });
}

const refusal = ({ status, json }: PersonReply) => [status, json.code];
const tokensOf = async (scene: PeopleScene, more: Readonly<Record<string, unknown>> = {}) =>
  (await scene.logIn(more)).json;
const account = ({ call }: PeopleScene, bearer: string, query = '') =>
  call({ path: `/v1/account${query}`, bearer });

/** The ticket in the mail with this subject. */
async function ticketFor({ gateway }: PeopleScene, owner: string, subject: string): Promise<string> {
  const folder = join(gateway.folder, 'data', 'mail', owner);
  const find = () =>
    (existsSync(folder) ? readdirSync(folder) : [])
      .filter((name) => name.endsWith('.eml'))
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .find((mail) => mail.includes(`Subject: ${subject}\n`));
  await expect.poll(find).toBeDefined();
  return /^eyJ\S+$/m.exec(find() as string)?.[0] ?? '';
}

/** What a signed call with a person's key gets. */
async function signedStatus({ gateway }: PeopleScene, key: Key): Promise<number> {
  const draft = { method: 'GET', target: '/v1/whoami', host: 'localhost' };
  return (await sendSigned(gateway, sign(gateway, key, draft))).status;
}

const payloadOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()) as Record<string, unknown>;

/** A client that keeps cookies by itself, as browsers and many libraries do. */
class Browser {
  private readonly cookies = new Map<string, string>();
  private readonly scene: PeopleScene;

  constructor(scene: PeopleScene) {
    this.scene = scene;
  }

  async call(given: PersonCall): Promise<PersonReply> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = { ...given.headers, ...(cookie && { Cookie: cookie }) };
    const reply = await this.scene.call({ ...given, headers });
    for (const line of reply.headers['set-cookie'] ?? []) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (/max-age=0/i.test(line)) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return reply;
  }

  logIn(fields: Readonly<Record<string, string>>): Promise<PersonReply> {
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const body = new URLSearchParams(fields).toString();
    return this.call({ method: 'POST', path: '/v1/login', headers, body });
  }

  whoami(): Promise<PersonReply> {
    return this.call({ path: '/v1/whoami' });
  }
}

describe('A: writing secure APIs', () => {
  it('A4: a ticket is signed, expires, and is good for one person, one purpose and once', async () => {
    const scene = await openScene();
    const { json: registered } = await register(scene);
    const confirmation = await ticketFor(scene, registered.account as string, 'Confirm your address');
    const reset = (ticket: string) =>
      post(scene, '/v1/password/reset', { ticket, password: 'another good one' });
    expect(refusal(await reset(confirmation))).toEqual([401, 'token-invalid']);
    expect((await post(scene, '/v1/account/email/confirm', { ticket: confirmation })).status).toBe(204);
    expect(refusal(await post(scene, '/v1/account/email/confirm', { ticket: confirmation }))).toEqual([
      401,
      'token-invalid',
    ]);

    expect((await post(scene, '/v1/password/forgot', { email: EMAIL })).status).toBe(202);
    const ticket = await ticketFor(scene, registered.account as string, 'Set a new password');
    const [head, body, mac = ''] = ticket.split('.');
    const forged = `${head}.${body}.${mac.startsWith('A') ? 'B' : 'A'}${mac.slice(1)}`;
    expect(refusal(await reset(forged))).toEqual([401, 'token-invalid']);
    scene.gateway.clock.advance(3600);
    expect(refusal(await reset(ticket))).toEqual([401, 'token-invalid']);
    expect((await scene.logIn()).status).toBe(200);
  });

  it('A5: a refresh token only refreshes, and once; a generation ends every token', async () => {
    const scene = await openScene();
    await register(scene);
    const first = await tokensOf(scene);
    expect((await scene.whoami(first.refreshToken)).status).toBe(401);
    const refresh = (refreshToken: string) => post(scene, '/v1/token/refresh', { refreshToken });
    const second = (await refresh(first.refreshToken)).json;
    expect((await scene.whoami(second.accessToken)).status).toBe(200);
    expect((await refresh(first.accessToken)).status).toBe(422);
    // Used a second time, it was in two hands.
    expect((await refresh(first.refreshToken)).status).toBe(401);
    expect((await refresh(second.refreshToken)).status).toBe(401);
    expect((await scene.whoami(second.accessToken)).status).toBe(401);

    const [one, other] = [await tokensOf(scene), await tokensOf(scene)];
    expect((await post(scene, '/v1/logout', { everywhere: true }, one.accessToken)).status).toBe(204);
    for (const { accessToken, refreshToken } of [one, other]) {
      expect((await scene.whoami(accessToken)).status).toBe(401);
      expect((await refresh(refreshToken)).status).toBe(401);
    }
  });

  it('A5: an access token lives for ten minutes', async () => {
    const scene = await openScene();
    await register(scene);
    const { accessToken } = await tokensOf(scene);
    const { exp, iat } = payloadOf(accessToken) as { exp: number; iat: number };
    expect(exp - iat).toBe(600);
    scene.gateway.clock.advance(599);
    expect((await scene.whoami(accessToken)).status).toBe(200);
    // Clocks may differ by half a minute.
    scene.gateway.clock.advance(32);
    expect(refusal(await scene.whoami(accessToken))).toEqual([401, 'token-invalid']);
  });
});

describe("B: a company's self-service", () => {
  it('B1: what is to be done at the start is done once, before the first request is served', async () => {
    const done: string[] = [];
    const task = (name: string) => ({
      name,
      async run() {
        await new Promise((resolve) => setImmediate(resolve));
        done.push(name);
      },
    });
    const scene = await openScene({ startUp: [task('fill the cache'), task('tell the others')] });
    expect(done).toEqual(['fill the cache', 'tell the others']);
    expect((await scene.call({ path: '/v1/ping' })).status).toBe(200);
    expect(done).toHaveLength(2);
  });

  it('B1: a start whose task fails serves nothing, and says which', async () => {
    const run = async () => {
      throw new Error('no cache there');
    };
    await expect(openScene({ startUp: [{ name: 'fill the cache', run }] })).rejects.toMatchObject({
      code: 'start-up-failed',
      message: expect.stringContaining('fill the cache'),
    });
  });

  it('B2: 404 and 405 are a page for people, and a document for programs', async () => {
    const scene = await openScene();
    const page = { Accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
    for (const [call, status] of [
      [{ path: '/nowhere' }, 404],
      [{ method: 'DELETE', path: '/v1/ping' }, 405],
    ] as const) {
      const forPeople = await scene.call({ ...call, headers: page });
      expect([forPeople.status, forPeople.headers['content-type']]).toEqual([
        status,
        expect.stringContaining('text/html'),
      ]);
      const forPrograms = await scene.call(call);
      expect([forPrograms.status, forPrograms.headers['content-type']]).toEqual([
        status,
        expect.stringContaining('application/problem+json'),
      ]);
      expect(forPrograms.json).toMatchObject({ code: expect.any(String), detail: expect.any(String) });
    }
  });

  it('B4: user, password and code yield a JWT with user id, name, roles and expiry', async () => {
    const scene = await openScene();
    const person = await scene.addAccount(EMAIL, 'orders', 'reports:read');
    const enrolment = await scene.enrol(person);
    const { status, json } = await scene.logIn({ totp: scene.code(enrolment) });
    expect(status).toBe(200);
    const now = Math.floor(scene.gateway.clock.now() / 1000);
    expect(payloadOf(json.accessToken)).toMatchObject({
      sub: person.id,
      name: 'Ada Lovelace',
      roles: ['orders', 'reports:read'],
      exp: now + 600,
    });
    // Anybody can verify it with the published keys.
    const { json: set } = await scene.call({ path: '/.well-known/jwks.json' });
    const [head = '', body = '', signature = ''] = json.accessToken.split('.');
    const { kid } = JSON.parse(Buffer.from(head, 'base64url').toString()) as { kid: string };
    const jwk = (set.keys as { kid: string }[]).find((key) => key.kid === kid);
    const key = createPublicKey({ key: jwk as object, format: 'jwk' } as never);
    const signed = Buffer.from(`${head}.${body}`);
    expect(verify(null, signed, key, Buffer.from(signature, 'base64url'))).toBe(true);
  });

  it('B4: a bad header, a bad password and a bad code are refused alike', async () => {
    const scene = await openScene();
    const enrolment = await scene.enrol(await scene.addAccount(EMAIL));
    const totp = scene.code(enrolment);
    const login = { method: 'POST', path: '/v1/login' };
    const replies = [
      await scene.logIn({ password: 'wrong', totp }),
      await scene.logIn({ totp: '000000' }),
      await scene.logIn(),
      await scene.logIn({ email: 'nobody@example.org', totp }),
      await scene.call({ ...login, headers: { Authorization: 'Basic nonsense' } }),
      await scene.call({ ...login, basic: [EMAIL, 'wrong'], body: { totp } }),
    ];
    for (const { status, json } of replies) {
      expect([status, json.code, json.detail]).toEqual([401, 'login-failed', replies[0]?.json.detail]);
    }
    expect((await scene.logIn({ totp })).status).toBe(200);
  });

  it('B5: what one may ask for follows from role and sub-role, and is granted at once', async () => {
    const roles = [
      'developer',
      'billing',
      { name: 'reports', grantableTo: ['developer:backend'] },
      { name: 'pictures', grantable: true },
    ];
    const scene = await openScene({ settings: { roles } });
    const ask = async (person: string, role: string) => {
      const { accessToken } = await tokensOf(scene, { email: person });
      return post(scene, '/v1/grants', { role }, accessToken);
    };
    for (const [email, held] of [
      ['backend@example.org', 'developer:backend'],
      ['developer@example.org', 'developer'],
      ['frontend@example.org', 'developer:frontend'],
    ] as const) {
      expect((await register(scene, { email })).status).toBe(201);
      const { id, consumer = '' } = (await scene.gateway.store.accounts.findByEmail(email)) ?? { id: '' };
      await scene.gateway.store.commitGroup.run('hand out', async (tx) => {
        await tx.accounts.update(id, { roles: [held] });
        await tx.consumers.update(consumer, { roles: [held] });
      });
    }
    expect((await ask('backend@example.org', 'reports:read')).json.status).toBe('granted');
    expect((await ask('developer@example.org', 'reports')).json.status).toBe('granted');
    expect((await ask('frontend@example.org', 'reports')).json.status).toBe('requested');
    expect((await ask('frontend@example.org', 'pictures')).json.status).toBe('granted');
    expect((await ask('frontend@example.org', 'billing')).json.status).toBe('requested');
    expect((await ask('frontend@example.org', 'throne')).status).toBe(422);
    // A token of before has fewer roles than the account now: its refusal says what to do.
    const { accessToken, refreshToken } = await tokensOf(scene, { email: 'developer@example.org' });
    expect((await post(scene, '/v1/grants', { role: 'pictures' }, accessToken)).status).toBe(201);
    const stale = await post(scene, '/v1/grants', { role: 'billing' }, accessToken);
    expect(stale).toMatchObject({ status: 403, json: { code: 'key-forbidden' } });
    expect(stale.json.detail).toContain('refresh the token');
    const refreshed = await post(scene, '/v1/token/refresh', { refreshToken });
    const again = await post(scene, '/v1/grants', { role: 'billing' }, refreshed.json.accessToken);
    expect(again.status).toBe(201);

    const rolesOf = async (email: string) =>
      (await scene.whoami((await tokensOf(scene, { email })).accessToken)).json.roles;
    expect(await rolesOf('backend@example.org')).toEqual(['developer:backend', 'reports:read']);
    expect(await rolesOf('frontend@example.org')).toEqual(['developer:frontend', 'pictures']);
  });

  it('B5: a token in use keeps its roles, and a refreshed one has those that were granted', async () => {
    const scene = await openScene({ settings: { roles: [{ name: 'pictures', grantable: true }] } });
    await register(scene);
    const { accessToken, refreshToken } = await tokensOf(scene);
    expect((await post(scene, '/v1/grants', { role: 'pictures' }, accessToken)).status).toBe(201);
    expect((await scene.whoami(accessToken)).json.roles).toEqual([]);
    const next = (await post(scene, '/v1/token/refresh', { refreshToken })).json;
    expect((await scene.whoami(next.accessToken)).json.roles).toEqual(['pictures']);
  });
});

describe('C: pictures, keys, and what is kept about people', () => {
  it.each([
    ['C1a', 'football'],
    ['C1b', 'python'],
  ])('%s: registering with the password %s is 422', async (_row, password) => {
    const scene = await openScene();
    const refused = await register(scene, { password });
    expect(refusal(refused)).toEqual([422, 'validation-failed']);
    expect(refused.json.errors).toEqual([expect.objectContaining({ path: 'password' })]);
    expect((await scene.logIn({ password })).status).toBe(401);
  });

  it('C1c: registering with a valid one is 201, with a key and its expiry date', async () => {
    const scene = await openScene();
    const { status, json } = await register(scene);
    expect(status).toBe(201);
    const { keyid, secret, expires } = json.key as Record<string, string>;
    expect(Date.parse(expires as string) - scene.gateway.clock.now()).toBeGreaterThan(89 * DAY * 1000);
    expect(await signedStatus(scene, { keyid: keyid as string, secret: secret as string })).toBe(200);
  });

  it("C3a: asking for one's data with an address that isn't one is 422", async () => {
    const scene = await openScene();
    await register(scene);
    const { accessToken } = await tokensOf(scene);
    const refused = await account(scene, accessToken, '?email=ada.example.org');
    expect(refusal(refused)).toEqual([422, 'validation-failed']);
    const found = await account(scene, accessToken, `?email=${encodeURIComponent(EMAIL)}`);
    expect([found.status, found.json.email]).toEqual([200, EMAIL]);
  });

  it("C3b: deleting one's data with a wrong password is 401, and nothing is deleted", async () => {
    const scene = await openScene();
    await register(scene);
    const { accessToken } = await tokensOf(scene);
    const before = (await account(scene, accessToken)).json;
    const erase = { method: 'DELETE', path: '/v1/account', bearer: accessToken };
    const refused = await scene.call({ ...erase, headers: idempotencyKey(), body: { password: 'wrong' } });
    expect(refusal(refused)).toEqual([401, 'login-failed']);
    const after = (await account(scene, accessToken)).json;
    expect(after).toMatchObject({ id: before.id, email: EMAIL, keys: before.keys });
  });

  it.each([
    ['C5a', 'firstName', "Robert'); DROP TABLE accounts;--"],
    ['C5b', 'lastName', '\' OR "1"="1\'; SELECT * FROM keys; --'],
  ])('%s: SQL in %s is the text that it is, and the tables stand', async (_row, field, text) => {
    const scene = await openScene();
    expect((await register(scene, { [field]: text })).status).toBe(201);
    const { accessToken } = await tokensOf(scene);
    expect((await account(scene, accessToken)).json[field]).toBe(text);
    expect(payloadOf(accessToken).name).toContain(text);
    expect((await register(scene, { email: 'grace@example.org' })).status).toBe(201);
    expect((await scene.logIn({ email: 'grace@example.org' })).status).toBe(200);
  });

  it('C9: an expired key is refused, and a new one can be had', async () => {
    const scene = await openScene();
    const { json } = await register(scene);
    const key = json.key as unknown as Key;
    expect(await signedStatus(scene, key)).toBe(200);
    scene.gateway.clock.advance(90 * DAY + 60);
    expect(await signedStatus(scene, key)).toBe(401);
    const { accessToken } = await tokensOf(scene);
    const ask = (password: string) =>
      post(scene, '/v1/account/keys', { password, label: 'the new one' }, accessToken);
    expect(refusal(await ask('wrong'))).toEqual([401, 'login-failed']);
    const issued = await ask(PASSWORD);
    expect(issued.status).toBe(201);
    expect(await signedStatus(scene, issued.json as unknown as Key)).toBe(200);
    const listed = (await account(scene, accessToken)).json.keys;
    expect(listed.map(({ keyid, label }) => [keyid, label])).toEqual([
      [key.keyid, null],
      [issued.json.keyid, 'the new one'],
    ]);
    const keyid = encodeURIComponent(issued.json.keyid as string);
    const revoke = { method: 'DELETE', path: `/v1/account/keys/${keyid}`, bearer: accessToken };
    expect((await scene.call({ ...revoke, headers: idempotencyKey() })).status).toBe(204);
    expect(await signedStatus(scene, issued.json as unknown as Key)).toBe(401);
  });

  it('C10: a person sees what is kept about them, and deletes it', async () => {
    const scene = await openScene();
    const { json: registered } = await register(scene);
    await ticketFor(scene, registered.account as string, 'Confirm your address');
    const { accessToken, refreshToken } = await tokensOf(scene);
    const { json } = await account(scene, accessToken);
    expect(json).toMatchObject({
      id: registered.account,
      firstName: 'Ada',
      lastName: 'Lovelace',
      email: EMAIL,
      keys: [{ keyid: (registered.key as unknown as Key).keyid }],
      refreshTokens: [{ usedAt: null }],
      mail: [{ content: expect.stringContaining(EMAIL) }],
    });
    expect((json.audit as { action: string }[]).map(({ action }) => action)).toContain('account.register');

    const erase = {
      method: 'DELETE',
      path: '/v1/account',
      bearer: accessToken,
      body: { password: PASSWORD },
    };
    expect((await scene.call({ ...erase, headers: idempotencyKey() })).status).toBe(204);
    expect((await account(scene, accessToken)).status).toBe(401);
    expect((await post(scene, '/v1/token/refresh', { refreshToken })).status).toBe(401);
    expect(await signedStatus(scene, registered.key as unknown as Key)).toBe(401);
    expect((await scene.logIn()).status).toBe(401);
    const data = join(scene.gateway.folder, 'data');
    const files = readdirSync(data, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
    expect(files.length).toBeGreaterThan(0);
    for (const { parentPath, name } of files) {
      expect(readFileSync(join(parentPath, name)).includes(EMAIL), name).toBe(false);
    }
  });
});

describe('D: a REST service with Basic and JWT', () => {
  it('D2: a protected resource asks for credentials, and right ones pass', async () => {
    const scene = await openScene();
    await register(scene);
    const asked = await scene.call({ path: '/v1/account' });
    expect([asked.status, asked.headers['www-authenticate']]).toEqual([
      401,
      expect.stringContaining('Basic realm='),
    ]);
    const by = (...basic: [string, string]) => scene.call({ path: '/v1/account', basic });
    expect((await by(EMAIL, PASSWORD)).json.email).toBe(EMAIL);
    expect((await by(EMAIL, 'wrong')).status).toBe(401);
    expect((await by('nobody@example.org', PASSWORD)).status).toBe(401);
  });

  it('D2: a password goes over TLS or stays on the machine', async () => {
    const origins = ['http://localhost', 'http://api.example.com', 'https://api.example.com'];
    const scene = await openScene({ settings: { origins, trustedProxies: ['127.0.0.1'] } });
    await scene.addAccount(EMAIL);
    const far = { Host: 'api.example.com', 'X-Forwarded-For': '203.0.113.7' };
    const by = (scheme: string) =>
      scene.call({
        path: '/v1/whoami',
        basic: [EMAIL, PASSWORD],
        headers: { ...far, 'X-Forwarded-Proto': scheme },
      });
    expect((await by('https')).status).toBe(200);
    expect((await by('http')).status).not.toBe(200);
  });

  it('D2: an account with a second factor is not opened by its password alone', async () => {
    const scene = await openScene();
    await scene.enrol(await scene.addAccount(EMAIL));
    expect((await scene.call({ path: '/v1/account', basic: [EMAIL, PASSWORD] })).status).toBe(401);
  });

  it('D3: user and password yield a token, which opens the resource; none does not; and it knows who calls', async () => {
    const scene = await openScene();
    const { json: registered } = await register(scene);
    const { accessToken } = await tokensOf(scene);
    expect((await scene.whoami(accessToken)).json.principal).toBe(`account:${registered.account}`);
    expect((await account(scene, accessToken)).json.email).toBe(EMAIL);
    expect((await scene.call({ path: '/v1/account' })).status).toBe(401);
    const [head, body, mac = ''] = accessToken.split('.');
    const forged = `${head}.${body}.${mac.startsWith('A') ? 'B' : 'A'}${mac.slice(1)}`;
    expect(refusal(await account(scene, forged))).toEqual([401, 'token-invalid']);
  });
});

describe('E: a login by form and cookie', () => {
  it('E1: a form login sets a cookie; missing fields, an unknown user and a wrong password are refused alike', async () => {
    const scene = await openScene();
    await register(scene);
    const browser = new Browser(scene);
    const { status, headers } = await browser.logIn({ email: EMAIL, password: PASSWORD });
    expect([status, headers['set-cookie']?.[0]]).toEqual([
      200,
      expect.stringMatching(/^__Host-countersign=.*; Secure; HttpOnly; SameSite=Strict$/),
    ]);
    const refused = [
      await new Browser(scene).logIn({ email: EMAIL, password: 'wrong' }),
      await new Browser(scene).logIn({ email: 'nobody@example.org', password: PASSWORD }),
      await new Browser(scene).logIn({ email: EMAIL }),
      await new Browser(scene).logIn({ password: PASSWORD }),
      await new Browser(scene).logIn({}),
    ];
    for (const reply of refused) {
      expect(reply.headers['set-cookie']).toBeUndefined();
      expect([...refusal(reply), reply.json.detail]).toEqual([401, 'login-failed', refused[0]?.json.detail]);
    }
  });

  it('E3: a client that keeps cookies by itself needs no extra code', async () => {
    const scene = await openScene();
    const { json: registered } = await register(scene);
    const browser = new Browser(scene);
    expect((await browser.whoami()).status).toBe(401);
    const { json } = await browser.logIn({ email: EMAIL, password: PASSWORD });
    expect((await browser.whoami()).json.principal).toBe(`account:${registered.account}`);
    expect((await browser.call({ path: '/v1/account' })).json.email).toBe(EMAIL);
    const meant = { ...idempotencyKey(), Origin: 'http://localhost', 'Countersign-Csrf': json.csrf };
    expect((await browser.call({ method: 'POST', path: '/v1/logout', headers: meant })).status).toBe(204);
    expect((await browser.whoami()).status).toBe(401);
  });

  it('E3: what another page makes the browser send is refused', async () => {
    const scene = await openScene();
    await register(scene);
    const browser = new Browser(scene);
    const { json } = await browser.logIn({ email: EMAIL, password: PASSWORD });
    const forged = { method: 'POST', path: '/v1/logout' };
    const own = { Origin: 'http://localhost', 'Countersign-Csrf': json.csrf };
    for (const headers of [
      {},
      { Origin: own.Origin },
      { ...own, Origin: 'https://evil.example' },
      { ...own, 'Countersign-Csrf': 'x' },
    ]) {
      const reply = await browser.call({ ...forged, headers: { ...idempotencyKey(), ...headers } });
      expect(refusal(reply)).toEqual([403, 'csrf']);
    }
    expect((await browser.whoami()).status).toBe(200);
  });

  it('E5: tokens and sessions survive a restart, and end when they should', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-rows-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const first = await openScene({ folder });
    const { clock } = first.gateway;
    const { json: registered } = await register(first);
    const tokens = await tokensOf(first);
    const { headers } = await new Browser(first).logIn({ email: EMAIL, password: PASSWORD });
    const Cookie = headers['set-cookie']?.[0]?.split(';')[0] as string;
    await first.gateway.close();

    const second = await openScene({ folder, clock });
    const byCookie = () => second.call({ path: '/v1/whoami', headers: { Cookie } });
    const principal = `account:${registered.account}`;
    expect((await second.whoami(tokens.accessToken)).json.principal).toBe(principal);
    expect((await byCookie()).json.principal).toBe(principal);
    clock.advance(31 * 60);
    expect((await second.whoami(tokens.accessToken)).status).toBe(401);
    expect((await byCookie()).status).toBe(401);
    const { refreshToken } = tokens;
    expect((await post(second, '/v1/token/refresh', { refreshToken })).status).toBe(200);
  });
});
