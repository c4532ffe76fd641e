/** Operators as people: the management API by token and session, and whoami by whatever. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Account } from '../../../src/accounts/account.ts';
import {
  basic,
  bearer,
  callUnsigned,
  cookie,
  ownPage,
  PeopleUnderTest,
  type Session,
} from '../people-under-test.ts';
import type { Answer } from '../wire.ts';
import { type Api, startApi } from './api.ts';

let api: Api;
let people: PeopleUnderTest;
let ada: Account;
let token: string;
let session: Session;

beforeAll(async () => {
  api = await startApi();
  people = new PeopleUnderTest(api.gateway);
  ada = await people.add('operator');
  token = bearer(await people.token(ada));
  session = await people.session(ada);
});
afterAll(() => api.close());

let keys = 0;
const fresh = () => `Idempotency-Key: "o${++keys}"`;

function call(first: string, fields: readonly string[], body?: unknown): Promise<Answer> {
  const type = body === undefined ? [] : ['Content-Type: application/json'];
  const text = body === undefined ? undefined : JSON.stringify(body);
  return callUnsigned(api.gateway, first, [...fields, ...type], text);
}
const json = (answer: Answer) => JSON.parse(answer.body);
const codeOf = (answer: Answer) => answer.headers.get('countersign-refusal') ?? String(answer.status);

describe('an operator with a token', () => {
  it('registers a consumer, whose key signs calls', async () => {
    const added = await call('POST /v1/consumers', [token, fresh()], { name: 'by-token', roles: ['orders'] });
    expect(added.status).toBe(201);
    expect(json(added)).toMatchObject({ consumer: 'by-token', roles: ['orders'] });
    const row = [...api.gateway.store.audit.rows()].at(-1);
    expect(row).toMatchObject({ actor: ada.id, action: 'consumer.add', subject: 'by-token' });
    const shown = await call('GET /v1/consumers/by-token', [token]);
    expect(shown.headers.get('etag')).toBeDefined();
    const reply = await fetch(`${api.gateway.url}/v1/ping`);
    expect(reply.status).toBe(200);
  });

  it('needs an Idempotency-Key for what changes, and gets its secret again by it', async () => {
    const body = { name: 'asked-twice', roles: [] };
    expect(codeOf(await call('POST /v1/consumers', [token], body))).toBe('idempotency-key-missing');
    const key = fresh();
    const [first, second] = [
      await call('POST /v1/consumers', [token, key], body),
      await call('POST /v1/consumers', [token, key], body),
    ];
    expect(second.headers.get('idempotent-replayed')).toBe('true');
    expect(json(second)).toEqual(json(first));
  });

  it('is held to conditions, and to what the input may be', async () => {
    await call('POST /v1/consumers', [token, fresh()], { name: 'conditional', roles: [] });
    const stale = await call('PATCH /v1/consumers/conditional', [token, fresh(), 'If-Match: "stale"'], {
      disabled: true,
    });
    expect(codeOf(stale)).toBe('precondition-failed');
    expect(codeOf(await call('POST /v1/consumers', [token, fresh()], { name: 'UPPER!' }))).toBe(
      'validation-failed',
    );
    expect(codeOf(await call('DELETE /v1/consumers/conditional', [token, fresh()]))).toBe('204');
  });

  it.each([
    '/v1/consumers',
    '/v1/consumers/demo',
    '/v1/consumers/demo/keys',
    '/v1/grants',
    '/v1/roles',
    '/v1/usage',
  ])('reads %s, and so does one with a session', async (path) => {
    expect((await call(`GET ${path}`, [token])).status).toBe(200);
    expect((await call(`GET ${path}`, [cookie(session)])).status).toBe(200);
  });

  it('by the role of the token: less is less', async () => {
    const reader = bearer(await people.token(ada, ['operator:consumers:read']));
    expect((await call('GET /v1/consumers', [reader])).status).toBe(200);
    expect(codeOf(await call('GET /v1/usage', [reader]))).toBe('role-missing');
    expect(codeOf(await call('POST /v1/consumers', [reader, fresh()], { name: 'never', roles: [] }))).toBe(
      'role-missing',
    );
  });
});

describe('an operator at a page', () => {
  it('changes something with the token of the session, which whoami tells', async () => {
    const who = json(await call('GET /v1/whoami', [cookie(session)]));
    expect(who).toEqual({
      principal: `account:${ada.id}`,
      account: ada.id,
      roles: ['operator'],
      csrf: session.csrf,
    });
    const fields = [cookie(session), ...ownPage(api.gateway, { ...session, csrf: who.csrf }), fresh()];
    expect((await call('POST /v1/consumers', fields, { name: 'by-page', roles: [] })).status).toBe(201);
  });

  it('changes nothing without it', async () => {
    const fields = [cookie(session), `Origin: ${api.gateway.url}`, fresh()];
    expect(codeOf(await call('POST /v1/consumers', fields, { name: 'forged', roles: [] }))).toBe('csrf');
    expect(codeOf(await call('GET /v1/consumers/forged', [token]))).toBe('not-found');
  });
});

describe('whoever is no operator', () => {
  it.each(['/v1/consumers', '/v1/consumers/demo/keys', '/v1/grants', '/v1/roles', '/v1/usage'])(
    'does not read %s',
    async (path) => {
      const given = bearer(await people.token(await people.add('orders')));
      expect(codeOf(await call(`GET ${path}`, [given]))).toBe('role-missing');
    },
  );

  it('sees no grant', async () => {
    const given = bearer(await people.token(await people.add('orders')));
    const asking = await api.register('asks');
    const asked = await asking.post('/v1/grants', { role: 'reports' });
    expect(codeOf(await call(`GET ${asked.headers.get('location')}`, [given]))).toBe('not-found');
    expect((await call(`GET ${asked.headers.get('location')}`, [token])).status).toBe(200);
  });
});

describe('a password', () => {
  it('manages nothing', async () => {
    const answer = await call('GET /v1/consumers', [basic(ada)]);
    expect(codeOf(answer)).toBe('signature-missing');
    expect(answer.headers.get('www-authenticate')).toBe(
      'Signature realm="countersign", Bearer realm="countersign"',
    );
  });

  it.each([
    ['GET', '/v1/keys'],
    ['POST', '/v1/keys/rotate'],
    ['POST', '/v1/echo'],
  ])('nor does a token do what a consumer does for itself: %s %s', async (method, path) => {
    expect(codeOf(await call(`${method} ${path}`, [token, fresh()]))).toBe('signature-missing');
  });
});
