/** People at the pipeline: what each route lets in, what is refused, and what a refusal leaves behind. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Account } from '../../src/accounts/account.ts';
import { prolong, sessionHash } from '../../src/accounts/session.ts';
import { ANYONE, callerOf, OPERATORS, PEOPLE, type Route, SIGNED } from '../../src/gateway/call.ts';
import { sendJson } from '../../src/gateway/routes/own.ts';
import { startTestGateway, type TestGateway } from '../../src/testing.ts';
import {
  basic,
  bearer,
  callUnsigned,
  cookie,
  ownPage,
  PASSWORD,
  PeopleUnderTest,
  type Session,
  sessionId,
} from './people-under-test.ts';
import { type PipelineUnderTest, signedRoute, startPipeline } from './pipeline-under-test.ts';
import { type Answer, problem, send, sign, verifyAnswer } from './wire.ts';

let gateway: TestGateway;
let people: PeopleUnderTest;
let pipeline: PipelineUnderTest;
let ada: Account;
let session: Session;

const tell: Route['answer'] = (ctx) => {
  if (ctx.state.route.credential === 'none') sendJson(ctx, { open: true });
  else sendJson(ctx, callerOf(ctx));
};
const route = (credential: Route['credential'], more: Partial<Route> = {}) => {
  const made = signedRoute(tell, { credential, name: 'under-test', ...more });
  return { GET: made, POST: made, PUT: made, PATCH: made, DELETE: made };
};

beforeAll(async () => {
  gateway = await startTestGateway();
  people = new PeopleUnderTest(gateway, () => 'https://issuer.example');
  pipeline = await startPipeline(
    gateway,
    {
      '/open': route('none'),
      '/login': route('none', { readsAuthorization: true }),
      '/signed': route(SIGNED),
      '/people': route(PEOPLE),
      '/operators': route(OPERATORS),
      '/any': route(ANYONE),
      '/orders': route(PEOPLE, { role: 'orders:read' }),
      '/cookie': route(['cookie']),
    },
    { people: people.parts, buckets: people.buckets },
  );
  ada = await people.add('orders', 'reports:read');
  session = await people.session(ada);
});
afterAll(async () => {
  await pipeline.close();
  await gateway.close();
});

const call = (first: string, ...fields: string[]) => callUnsigned(pipeline, first, fields);
const codeOf = (answer: Answer) => (answer.status === 200 ? 'ok' : problem(answer).code);
const token = async () => bearer(await people.token(ada));

/** By route: what becomes of a call with nothing, a token, a cookie, a password. */
const TAKEN: Readonly<Record<string, readonly [string, string, string, string]>> = {
  '/open': ['ok', 'request-malformed', 'ok', 'request-malformed'],
  '/login': ['ok', 'ok', 'ok', 'ok'],
  '/signed': ['signature-missing', 'signature-missing', 'signature-missing', 'signature-missing'],
  '/people': ['token-invalid', 'ok', 'ok', 'ok'],
  '/operators': ['signature-missing', 'ok', 'ok', 'signature-missing'],
  '/any': ['signature-missing', 'ok', 'ok', 'ok'],
  '/cookie': ['token-invalid', 'token-invalid', 'ok', 'token-invalid'],
};

describe('a route lets in who bears what it names', () => {
  it.each(Object.entries(TAKEN))('%s', async (path, expected) => {
    const given = [[], [await token()], [cookie(session)], [basic(ada)]];
    const codes = [];
    for (const fields of given) codes.push(codeOf(await call(`GET ${path}`, ...fields)));
    expect(codes).toEqual(expected);
  });

  it.each([
    ['/signed', 'Signature realm="countersign"', true],
    ['/people', 'Bearer realm="countersign", Basic realm="countersign", charset="UTF-8"', false],
    ['/operators', 'Signature realm="countersign", Bearer realm="countersign"', true],
    [
      '/any',
      'Signature realm="countersign", Bearer realm="countersign", Basic realm="countersign", charset="UTF-8"',
      true,
    ],
    ['/cookie', undefined, false],
  ])('%s asks for it in WWW-Authenticate', async (path, challenge, isSigned) => {
    const answer = await call(`GET ${path}`);
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toBe(challenge);
    expect(answer.headers.has('accept-signature')).toBe(isSigned);
  });

  it.each(['Digest username="ada"', 'Bearer', 'Bearer a b', 'Basic', 'Bearer é', 'Negotiate YII='])(
    'and refuses Authorization: %s',
    async (value) => {
      const answer = await call('GET /people', `Authorization: ${value}`);
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.status).toBeLessThan(402);
    },
  );

  it('overlooks every credential where nothing is served', async () => {
    for (const field of [bearer('nonsense'), basic(ada, 'wrong'), cookie(session)]) {
      expect(codeOf(await call('GET /nowhere', field))).toBe('not-found');
      expect(codeOf(await call('OPTIONS /people', field))).toBe('method-not-allowed');
    }
  });
});

describe('a token', () => {
  it('yields its account, with the roles that both have', async () => {
    const narrow = bearer(await people.token(ada, ['orders:read', 'operator']));
    const answer = await call('GET /people', narrow);
    expect(JSON.parse(answer.body)).toEqual({
      principal: `account:${ada.id}`,
      account: ada.id,
      roles: ['orders:read'],
    });
    expect(answer.headers.has('signature')).toBe(false);
    expect(answer.headers.get('cache-control')).toBe('no-store, no-transform');
  });

  it('is not let in where its account lacks the role, though the token names it', async () => {
    const reader = await people.add('reports');
    const token = bearer(await people.token(reader, ['orders']));
    expect(codeOf(await call('GET /orders', token))).toBe('role-missing');
    expect(codeOf(await call('GET /orders', bearer(await people.token(ada))))).toBe('ok');
  });

  it('may be narrowed, and never widened', async () => {
    const narrowed = await call('GET /people', await token(), 'Countersign-Narrow: orders:read');
    expect(JSON.parse(narrowed.body).roles).toEqual(['orders:read']);
    expect(codeOf(await call('GET /people', await token(), 'Countersign-Narrow: operator'))).toBe(
      'role-missing',
    );
    expect(codeOf(await call('GET /orders', await token(), 'Countersign-Narrow: reports:read'))).toBe(
      'role-missing',
    );
  });

  it('that is none says so to whom it may concern', async () => {
    const answer = await call('GET /any', bearer('eyJhbGciOiJub25lIn0.e30.'));
    expect(codeOf(answer)).toBe('token-invalid');
    expect(answer.headers.get('www-authenticate')).toContain(
      'Bearer realm="countersign", error="invalid_token"',
    );
  });

  it.each<[string, (account: Account) => Promise<unknown>]>([
    [
      'its generation is raised',
      ({ id }) => gateway.store.commitGroup.run('end', (tx) => tx.accounts.raiseGeneration(id)),
    ],
    [
      'it is disabled',
      ({ id }) => gateway.store.commitGroup.run('end', (tx) => tx.accounts.update(id, { disabledAt: 1 })),
    ],
    ['it is erased', ({ id }) => gateway.store.commitGroup.run('end', (tx) => tx.accounts.remove(id))],
  ])('of an account counts no more at once when %s, nor does its session', async (_what, end) => {
    const account = await people.add('orders');
    const [given, held] = [bearer(await people.token(account)), await people.session(account)];
    expect(codeOf(await call('GET /people', given))).toBe('ok');
    await end(account);
    expect(codeOf(await call('GET /people', given))).toBe('token-invalid');
    expect(codeOf(await call('GET /people', cookie(held)))).toBe('token-invalid');
  });

  it('has the roles that its account has now', async () => {
    const account = await people.add('orders');
    const given = bearer(await people.token(account));
    await gateway.store.commitGroup.run('take it', (tx) => tx.accounts.update(account.id, { roles: [] }));
    expect(codeOf(await call('GET /orders', given))).toBe('role-missing');
  });
});

describe('a password', () => {
  it('opens one call, after one verification', async () => {
    const before = people.passwords.verifications;
    const answer = await call('GET /people', basic(ada));
    expect(JSON.parse(answer.body).account).toBe(ada.id);
    expect(people.passwords.verifications).toBe(before + 1);
  });

  it.each<[string, () => Promise<string> | string]>([
    ['that is wrong', () => basic(ada, 'wrong')],
    ['of nobody', () => basic({ ...ada, email: 'nobody@people.example' })],
    ['of an operator, who must have a second factor', async () => basic(await people.add('operator'))],
  ])('%s does not, after as much work', async (_what, field) => {
    const given = await field();
    const before = people.passwords.verifications;
    const answer = await call('GET /people', given);
    expect(codeOf(answer)).toBe('login-failed');
    expect(answer.headers.get('www-authenticate')).toContain('Basic realm="countersign", charset="UTF-8"');
    expect(people.passwords.verifications).toBe(before + 1);
  });

  it.each([
    ['no base64', 'Basic ***'],
    ['no UTF-8', `Basic ${Buffer.from([0xff, 0x3a, 0x61]).toString('base64')}`],
    ['no colon', `Basic ${Buffer.from('ada').toString('base64')}`],
  ])('in a field that holds %s is refused unread', async (_what, value) => {
    const before = people.passwords.verifications;
    const answer = await call('GET /people', `Authorization: ${value}`);
    expect(answer.status).toBe(401);
    expect(people.passwords.verifications).toBe(before);
  });

  it('is guessed at slowly: the address waits, before any more work', async () => {
    const victim = await people.add();
    const codes = [];
    for (let i = 0; i < 25; i++) codes.push(codeOf(await call('GET /people', basic(victim, `guess ${i}`))));
    expect(codes.slice(0, 20)).toEqual(new Array(20).fill('login-failed'));
    expect(codes.at(-1)).toBe('rate-limited');
    const before = people.passwords.verifications;
    expect(codeOf(await call('GET /people', basic(victim, PASSWORD)))).toBe('rate-limited');
    expect(people.passwords.verifications).toBe(before);
  });
});

describe('a session', () => {
  it('yields its account, and its CSRF token to its own page alone', async () => {
    const answer = await call('GET /people', cookie(session));
    expect(JSON.parse(answer.body)).toEqual({
      principal: `account:${ada.id}`,
      account: ada.id,
      roles: ['orders', 'reports:read'],
    });
  });

  it.each(['POST', 'PUT', 'PATCH', 'DELETE'])('changes something by %s from its own page', async (method) => {
    expect(codeOf(await call(`${method} /people`, cookie(session), ...ownPage(pipeline, session)))).toBe(
      'ok',
    );
  });

  it.each<[string, (own: string, csrf: string) => string[]]>([
    ['without its token', (own) => [own]],
    ['with an empty token', (own) => [own, 'Countersign-Csrf: ']],
    [
      "with another session's token",
      (own, csrf) => [own, `Countersign-Csrf: ${csrf.startsWith('A') ? 'B' : 'A'}${csrf.slice(1)}`],
    ],
    ['with its token twice', (own, csrf) => [own, `Countersign-Csrf: ${csrf}`, `Countersign-Csrf: ${csrf}`]],
    ['without Origin', (_own, csrf) => [`Countersign-Csrf: ${csrf}`]],
    ['from another site', (_own, csrf) => ['Origin: https://evil.example', `Countersign-Csrf: ${csrf}`]],
    ['from another port', (_own, csrf) => ['Origin: http://127.0.0.1:1', `Countersign-Csrf: ${csrf}`]],
    ['from another scheme', (own, csrf) => [own.replace('http:', 'https:'), `Countersign-Csrf: ${csrf}`]],
    ['from a page without an origin', (_own, csrf) => ['Origin: null', `Countersign-Csrf: ${csrf}`]],
    [
      'from a page that the browser says is another site',
      (own, csrf) => [own, `Countersign-Csrf: ${csrf}`, 'Sec-Fetch-Site: cross-site'],
    ],
    [
      'from a page of the same site alone',
      (own, csrf) => [own, `Countersign-Csrf: ${csrf}`, 'Sec-Fetch-Site: same-site'],
    ],
  ])('does not %s', async (_what, fields) => {
    const given = fields(`Origin: http://127.0.0.1:${pipeline.port}`, session.csrf);
    const answer = await call('POST /people', cookie(session), ...given);
    expect([answer.status, codeOf(answer)]).toEqual([403, 'csrf']);
  });

  it.each<[string, string[], string]>([
    ['with neither field', [], 'ok'],
    ['of a typed address', ['Sec-Fetch-Site: none'], 'ok'],
    ['by its own page', ['Sec-Fetch-Site: same-origin'], 'ok'],
    ['by another site', ['Sec-Fetch-Site: cross-site'], 'csrf'],
    ['by another origin', ['Origin: https://evil.example'], 'csrf'],
  ])('reads %s', async (_what, fields, code) => {
    expect(codeOf(await call('GET /people', cookie(session), ...fields))).toBe(code);
    const head = await call('HEAD /people', cookie(session), ...fields);
    expect(head.headers.get('countersign-refusal') ?? 'ok').toBe(code);
  });

  it.each<[string, (given: string) => string]>([
    ['that was never given', () => `__Host-countersign=${'A'.repeat(43)}`],
    ['of another form', () => '__Host-countersign=abc'],
    ['in quotes', (given) => given.replace('=', '="').concat('"')],
    ['that is empty', () => '__Host-countersign='],
    ['twice', (given) => `${given}; ${given}`],
  ])('cookie %s is refused, and no dialogue asks for a password', async (_what, change) => {
    const answer = await call('GET /any', `Cookie: ${change(session.cookie)}`);
    expect(codeOf(answer)).toBe('token-invalid');
    expect(answer.headers.get('www-authenticate')).not.toContain('Basic');
  });

  it('cookie of another name is none', async () => {
    const other = session.cookie.replace('__Host-countersign', '__host-countersign');
    const answer = await call('GET /people', `Cookie: ${other}`);
    expect(codeOf(answer)).toBe('token-invalid');
  });
});

describe('two credentials', () => {
  it('are refused', async () => {
    const answer = await call('GET /people', await token(), cookie(session));
    expect([answer.status, codeOf(answer)]).toEqual([400, 'request-malformed']);
  });

  it('of which one is a signature that does not cover the other are refused', async () => {
    const request = sign(pipeline, gateway.credentials, { method: 'GET', target: '/any' });
    request.headers.push(['Authorization', 'Bearer abc']);
    expect(codeOf(await send(pipeline, request))).toBe('signature-policy');
  });

  it('of which one is a signature over the other are judged by the signature', async () => {
    const headers = [['Authorization', 'Bearer abc']] as const;
    const request = sign(pipeline, gateway.credentials, { method: 'GET', target: '/any', headers });
    const answer = await send(pipeline, request);
    expect(JSON.parse(answer.body).principal).toBe('consumer:demo');
  });
});

describe('a signature on a route for people', () => {
  it('is refused in a signed answer, and its nonce is used up', async () => {
    const request = sign(pipeline, gateway.credentials, { method: 'GET', target: '/people' });
    const answer = await send(pipeline, request);
    expect([answer.status, codeOf(answer)]).toEqual([403, 'key-forbidden']);
    verifyAnswer(answer, request, gateway.credentials);
    expect(codeOf(await send(pipeline, request))).toBe('nonce-replayed');
  });
});

describe('in clear, over more than this machine', () => {
  // A forwarding header of nobody who is trusted: the call comes from elsewhere.
  const FROM_ELSEWHERE = 'X-Forwarded-For: 203.0.113.9';

  it('no credential is taken, however good', async () => {
    for (const field of [await token(), cookie(session), basic(ada)]) {
      const before = people.passwords.verifications;
      const answer = await call('GET /people', field, FROM_ELSEWHERE);
      expect([answer.status, codeOf(answer)]).toEqual([403, 'key-forbidden']);
      expect(people.passwords.verifications).toBe(before);
    }
  });

  it('none is asked for that could be read', async () => {
    expect(codeOf(await call('GET /people', FROM_ELSEWHERE))).toBe('key-forbidden');
    const answer = await call('GET /any', FROM_ELSEWHERE);
    expect(codeOf(answer)).toBe('signature-missing');
    expect(answer.headers.get('www-authenticate')).toBe('Signature realm="countersign"');
  });
});

describe('a refusal', () => {
  const rows = () => [...gateway.store.audit.rows()].filter(({ action }) => action === 'call.refused');

  it('of a person who is known is on record, by the random id', async () => {
    const before = rows().length;
    expect(codeOf(await call('GET /orders', bearer(await people.token(await people.add()))))).toBe(
      'role-missing',
    );
    expect(codeOf(await call('POST /people', cookie(session)))).toBe('csrf');
    const [first, second] = rows().slice(before);
    expect(first).toMatchObject({ subject: 'under-test', detail: '{"code":"role-missing"}' });
    expect(second).toMatchObject({ actor: ada.id, subject: 'under-test', detail: '{"code":"csrf"}' });
    expect(second?.keyid).toBeUndefined();
  });

  it('of nobody who is known is paid for by the address, and one of a person is not', async () => {
    const before = rows().length;
    const known = people.buckets.wait('127.0.0.1');
    for (let i = 0; i < 220; i++) await call('GET /orders', await lacking());
    expect(people.buckets.wait('127.0.0.1')).toBe(known);
    for (let i = 0; i < 220; i++) await call('GET /people', bearer('nonsense'));
    expect(people.buckets.wait('127.0.0.1')).toBeGreaterThan(0);
    // The first of a minute have a row each; guesses have none.
    expect(rows().length - before).toBeLessThanOrEqual(20);
    gateway.clock.advance(60);
  });

  let lackingToken: string | undefined;
  const lacking = async () => {
    lackingToken ??= bearer(await people.token(await people.add()));
    return lackingToken;
  };
});

describe('the log', () => {
  it('has the account by its id, and nothing that is anybody else’s to know', async () => {
    const before = pipeline.log.lines.length;
    const given = await people.token(ada);
    await call('GET /people', bearer(given));
    await call('GET /people', cookie(session));
    await call('GET /people', basic(ada));
    const lines = pipeline.log.lines.slice(before);
    expect(lines.map(({ account }) => account)).toEqual([ada.id, ada.id, ada.id]);
    const text = JSON.stringify(lines);
    for (const secret of [given, session.cookie, ada.email, PASSWORD]) expect(text).not.toContain(secret);
  });
});

describe('a session ends', () => {
  it('30 minutes after the last call, and 12 hours after the login whatever comes', async () => {
    const account = await people.add();
    const held = await people.session(account);
    const minute = async (minutes: number) => {
      gateway.clock.advance(minutes * 60);
      return codeOf(await call('GET /people', cookie(held)));
    };
    expect(await minute(29)).toBe('ok');
    expect(await minute(29)).toBe('ok');
    const other = await people.session(account);
    gateway.clock.advance(30 * 60);
    expect(codeOf(await call('GET /people', cookie(other)))).toBe('token-invalid');
    expect(await minute(0)).toBe('token-invalid');

    const long = await people.session(account);
    for (let i = 0; i < 35; i++) {
      gateway.clock.advance(20 * 60);
      expect(codeOf(await call('GET /people', cookie(long)))).toBe('ok');
    }
    gateway.clock.advance(20 * 60);
    expect(codeOf(await call('GET /people', cookie(long)))).toBe('token-invalid');
  });

  it('once it was ended, whoever prolongs it meanwhile', async () => {
    const held = await people.session(ada);
    const hash = sessionHash(sessionId(held));
    await gateway.store.commitGroup.run('end', (tx) => tx.accounts.sessions.end(hash));
    await gateway.store.commitGroup.run('prolong', (tx) => prolong(tx.accounts.sessions, hash, 2 ** 31));
    expect(codeOf(await call('GET /people', cookie(held)))).toBe('token-invalid');
  });
});
