/** Logging in over the wire: by JSON, Basic and a form, and how alike all refusals are. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EMAIL, PASSWORD, type PersonCall, type PersonReply, peopleScene } from './people-scene.ts';

const LOGIN = { method: 'POST', path: '/v1/login' } as const;
const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };

describe('a login', () => {
  test('by JSON yields tokens, and the access token says who calls', async () => {
    const scene = await peopleScene();
    const { id } = await scene.addAccount(EMAIL, 'orders');
    const { status, headers, json } = await scene.logIn();
    expect(status).toBe(200);
    expect(headers['cache-control']).toContain('no-store');
    expect(json).toEqual({
      accessToken: expect.any(String),
      refreshToken: expect.stringMatching(/^[\w-]{43}$/),
      expiresIn: 600,
    });
    const known = await scene.whoami(json.accessToken);
    expect(known.status).toBe(200);
    expect(known.json).toMatchObject({ principal: `account:${id}`, roles: ['orders'] });
    expect((await scene.call({ path: '/v1/whoami' })).status).toBe(401);
  });

  test('by Basic takes the code in the body', async () => {
    const scene = await peopleScene();
    const enrolment = await scene.enrol(await scene.addAccount(EMAIL));
    const basic = [EMAIL, PASSWORD] as const;
    expect((await scene.call({ ...LOGIN, basic })).status).toBe(401);
    const totp = scene.code(enrolment);
    expect((await scene.call({ ...LOGIN, basic, body: { totp } })).status).toBe(200);
    expect((await scene.call({ ...LOGIN, basic, body: { totp } })).status).toBe(401);
    expect((await scene.call({ ...LOGIN, basic, body: { totp: enrolment.recoveryCodes[3] } })).status).toBe(
      200,
    );
  });

  test('by a form sets a cookie that scripts and other sites never see', async () => {
    const scene = await peopleScene();
    const { id } = await scene.addAccount(EMAIL);
    const body = new URLSearchParams({ email: EMAIL, password: PASSWORD, totp: '' }).toString();
    const { status, headers, json } = await scene.call({ ...LOGIN, headers: FORM, body });
    expect(status).toBe(200);
    expect(json).toEqual({ csrf: expect.any(String), expiresIn: expect.any(Number) });
    const [cookie = ''] = headers['set-cookie'] ?? [];
    expect(cookie).toMatch(/^__Host-countersign=[\w-]{43}; .*Secure; HttpOnly; SameSite=Strict$/);
    const whoami = { path: '/v1/whoami', headers: { Cookie: cookie.split(';', 1)[0] ?? '' } };
    expect((await scene.call(whoami)).json).toMatchObject({ principal: `account:${id}` });
  });

  test('by a form ends the session that the browser had before', async () => {
    const scene = await peopleScene();
    await scene.addAccount(EMAIL);
    const body = new URLSearchParams({ email: EMAIL, password: PASSWORD }).toString();
    const cookieOf = ({ headers }: PersonReply) => headers['set-cookie']?.[0]?.split(';', 1)[0] ?? '';
    const first = cookieOf(await scene.call({ ...LOGIN, headers: FORM, body }));
    const second = cookieOf(await scene.call({ ...LOGIN, headers: { ...FORM, Cookie: first }, body }));
    const whoami = (Cookie: string) => scene.call({ path: '/v1/whoami', headers: { Cookie } });
    expect((await whoami(second)).status).toBe(200);
    expect((await whoami(first)).status).toBe(401);
  });

  test("by a form of another site is refused, so that nobody goes on in a stranger's account", async () => {
    const scene = await peopleScene();
    await scene.addAccount(EMAIL);
    const body = new URLSearchParams({ email: EMAIL, password: PASSWORD }).toString();
    const bySite = (headers: Record<string, string>) =>
      scene.call({ ...LOGIN, headers: { ...FORM, ...headers }, body });
    expect((await bySite({ Origin: 'https://evil.example' })).json.code).toBe('csrf');
    expect((await bySite({ Origin: 'null' })).json.code).toBe('csrf');
    expect((await bySite({ 'Sec-Fetch-Site': 'cross-site' })).json.code).toBe('csrf');
    expect((await bySite({ Origin: 'http://localhost', 'Sec-Fetch-Site': 'same-origin' })).status).toBe(200);
  });

  test('for fewer roles yields a token that grants no more, and roles that the account lacks are refused', async () => {
    const scene = await peopleScene();
    await scene.addAccount(EMAIL, 'orders', 'reports');
    const { json } = await scene.logIn({ roles: ['orders:read'] });
    expect((await scene.whoami(json.accessToken)).json.roles).toEqual(['orders:read']);
    const { status, json: refused } = await scene.logIn({ roles: ['orders:read', 'operator'] });
    expect([status, refused.code]).toEqual([403, 'role-missing']);
    for (const roles of [[], 'orders', ['any'], [5], ['Orders']]) {
      expect((await scene.logIn({ roles })).status).toBe(422);
    }
    // A wrong password learns nothing of roles.
    expect((await scene.logIn({ roles: ['operator'], password: 'wrong' })).json.code).toBe('login-failed');
  });

  test('of an operator takes the code of what was handed over, and never the password alone', async () => {
    const scene = await peopleScene();
    const account = await scene.addAccount(EMAIL, 'operator');
    const refused = await scene.logIn();
    expect(refused.status).toBe(401);
    expect(refused.json.detail).toContain('countersign account totp');
    const enrolment = await scene.enrol(account, true);
    const { json } = await scene.logIn({ totp: scene.code(enrolment) });
    expect((await scene.whoami(json.accessToken)).json.roles).toEqual(['operator']);
    // Basic opens a single call by a password alone, so it opens nothing here.
    expect((await scene.call({ path: '/v1/whoami', basic: [EMAIL, PASSWORD] })).status).toBe(401);
  });

  test('goes over TLS, or stays on the machine', async () => {
    const scene = await peopleScene();
    await scene.addAccount(EMAIL);
    const forwarded = { 'X-Forwarded-For': '192.0.2.1' };
    const body = { email: EMAIL, password: PASSWORD };
    const { status, json } = await scene.call({ ...LOGIN, body, headers: forwarded });
    expect([status, json.code]).toEqual([403, 'key-forbidden']);
  });

  test('is on record by the random id alone, and so is what the log says', async () => {
    const scene = await peopleScene();
    const { id } = await scene.addAccount(EMAIL);
    await scene.logIn();
    const rows = [...scene.gateway.store.audit.rows()];
    expect(rows.filter(({ action }) => action === 'account.login')).toMatchObject([
      { actor: id, subject: id },
    ]);
    // A whole word: ids are random, and may hold three letters of anything.
    expect(JSON.stringify(rows)).not.toMatch(/(?<![\w+/=-])ada(?![\w+/=-])/i);
  });
});

describe('all refusals of a login are alike', () => {
  const json = (body: unknown): PersonCall => ({ ...LOGIN, body });
  const basic = (field: string): PersonCall => ({ ...LOGIN, headers: { Authorization: field } });
  const calls: readonly (readonly [string, PersonCall])[] = [
    ['an unknown user', json({ email: 'nobody@example.org', password: PASSWORD })],
    ['a wrong password', json({ email: EMAIL, password: 'a wrong password' })],
    ['a missing code', json({ email: EMAIL, password: PASSWORD })],
    ['a wrong code', json({ email: EMAIL, password: PASSWORD, totp: '000000' })],
    ['a code of another form', json({ email: EMAIL, password: PASSWORD, totp: "' OR 1=1" })],
    ['a missing password', json({ email: EMAIL })],
    ['a missing address', json({ password: PASSWORD })],
    ['nothing at all', json({})],
    ['no body', LOGIN],
    ['values that are no text', json({ email: { $ne: null }, password: ['x'], totp: 123456 })],
    ['a password of a megabyte', json({ email: EMAIL, password: 'x'.repeat(50_000) })],
    ['control characters', json({ email: 'ada@example.org\u0000\u0007', password: '\u0000' })],
    ['HTML and SQL', json({ email: "<script>'; DROP TABLE accounts; --", password: '"><img src=x>' })],
    ['Basic with a wrong password', { ...LOGIN, basic: [EMAIL, 'wrong'] }],
    ['Basic without a colon', basic(`Basic ${Buffer.from('ada').toString('base64')}`)],
    ['Basic that is no base64', basic('Basic !!!')],
    ['Basic that is no UTF-8', basic(`Basic ${Buffer.from([0xff, 0xfe, 0x3a]).toString('base64')}`)],
    ['Basic of nothing', basic('Basic')],
    ['another scheme', basic('Digest username="ada"')],
    ['a bearer token', basic('Bearer abc')],
  ];

  test('in status, header fields and body', async () => {
    const scene = await peopleScene();
    await scene.enrol(await scene.addAccount(EMAIL));
    const seen = new Set<string>();
    for (const [name, call] of calls) {
      const { status, headers, json: body } = await scene.call(call);
      expect([name, status, body.code]).toEqual([name, 401, 'login-failed']);
      const { date, 'countersign-request-id': _, ...rest } = headers;
      seen.add(JSON.stringify([rest, { ...body, instance: undefined, requestId: undefined }]));
    }
    expect([...seen]).toHaveLength(1);
    expect([...seen][0]).toContain('Basic realm=');
  });

  test('by a form too, whichever field is missing, without a dialogue of the browser', async () => {
    const scene = await peopleScene();
    await scene.addAccount(EMAIL);
    const forms = [
      {},
      { email: EMAIL },
      { password: PASSWORD },
      { email: EMAIL, password: 'wrong' },
      { email: 'nobody@example.org', password: PASSWORD },
    ];
    const seen = new Set<string>();
    for (const form of forms) {
      const body = new URLSearchParams(form as Record<string, string>).toString();
      const { status, headers, json: answer } = await scene.call({ ...LOGIN, headers: FORM, body });
      expect(status).toBe(401);
      expect(headers['www-authenticate']).toBeUndefined();
      expect(headers['set-cookie']).toBeUndefined();
      seen.add(JSON.stringify({ ...answer, instance: undefined, requestId: undefined }));
    }
    expect(seen.size).toBe(1);
  });

  test('members that no login knows are told, before anything is looked at', async () => {
    const scene = await peopleScene();
    for (const body of [{ email: EMAIL, pasword: PASSWORD }, { user: 'x' }]) {
      expect((await scene.call({ ...LOGIN, body })).json.code).toBe('validation-failed');
    }
    const both = { ...LOGIN, basic: [EMAIL, PASSWORD], body: { email: EMAIL } } as const;
    expect((await scene.call(both)).json.code).toBe('validation-failed');
    const text = { ...LOGIN, headers: { 'Content-Type': 'application/json' }, body: '{"email":' };
    expect((await scene.call(text)).json.code).toBe('json-malformed');
  });
});

describe('guessing', () => {
  test('is slowed where somebody sits, and costs the bucket of all failures too', async () => {
    const scene = await peopleScene({ settings: { limits: { failures: { burst: 4, perSecond: 1 } } } });
    await scene.addAccount(EMAIL);
    for (let i = 0; i < 4; i++) expect((await scene.logIn({ password: `wrong ${i}` })).status).toBe(401);
    const { status, headers, json } = await scene.logIn();
    expect([status, json.code, headers['retry-after']]).toEqual([429, 'rate-limited', '1']);
    scene.gateway.clock.advance(2);
    expect((await scene.logIn()).status).toBe(200);
  });

  test('at one account ends after 20 tries, for half a minute a try', async () => {
    const scene = await peopleScene();
    await scene.addAccount(EMAIL);
    const tries = await Promise.all(
      Array.from({ length: 30 }, (_, i) => scene.logIn({ password: `wrong ${i}` })),
    );
    expect(tries.filter(({ status }) => status === 401)).toHaveLength(20);
    expect((await scene.logIn()).status).toBe(429);
    scene.gateway.clock.advance(30);
    expect((await scene.logIn()).status).toBe(200);
  });
});

describe('arbitrary input never gets a 500', () => {
  test('as a bearer token', async () => {
    const scene = await peopleScene();
    await scene.addAccount(EMAIL);
    const { json } = await scene.logIn();
    const [header = '', claims = ''] = json.accessToken.split('.');
    const text = fc.oneof(
      fc.stringMatching(/^[\x21-\x7e]{0,80}$/),
      fc.base64String().map((end) => `${header}.${claims}.${end}`),
      fc.json().map((value) => `${Buffer.from(value).toString('base64url')}.${claims}.x`),
    );
    await fc.assert(
      fc.asyncProperty(text, fc.constantFrom('/v1/whoami', '/v1/account/totp'), async (token, path) => {
        const { status } = await scene.call({
          method: path === '/v1/whoami' ? 'GET' : 'POST',
          path,
          bearer: token,
        });
        expect([400, 401, 403, 429]).toContain(status);
      }),
      { numRuns: 300 },
    );
  });

  test('as the body of a login or a refresh', async () => {
    const scene = await peopleScene();
    await scene.addAccount(EMAIL);
    const member = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.jsonValue(), fc.constant(EMAIL));
    const body = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.json(),
      fc
        .record({ email: member, password: member, totp: member, roles: member })
        .map((value) => JSON.stringify(value)),
      fc.record({ refreshToken: member }).map((value) => JSON.stringify(value)),
    );
    const type = fc.constantFrom(
      'application/json',
      'application/x-www-form-urlencoded',
      'text/plain',
      'multipart/form-data',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('/v1/login', '/v1/token/refresh'),
        type,
        body,
        async (path, contentType, text) => {
          const { status } = await scene.call({
            method: 'POST',
            path,
            headers: { 'Content-Type': contentType },
            body: text,
          });
          expect(status).toBeGreaterThanOrEqual(400);
          expect(status).toBeLessThan(500);
        },
      ),
      { numRuns: 300 },
    );
  });
});
