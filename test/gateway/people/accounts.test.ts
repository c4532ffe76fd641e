/** What operators do with people's accounts, and how somebody is invited. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Account } from '../../../src/accounts/account.ts';
import { Passwords } from '../../../src/accounts/password.ts';
import { drawAccount, putAccount } from '../../../src/accounts/registration.ts';
import { Tickets } from '../../../src/accounts/ticket.ts';
import { epochSeconds } from '../../../src/clock.ts';
import { Caller, type CallOptions, type Reply } from '../management/api.ts';
import { type Key, type RawRequest, sign } from '../wire.ts';
import { EMAIL, idempotencyKey, PASSWORD, type PeopleScene, peopleScene } from './people-scene.ts';

const INVITED = { accounts: { registration: 'invited' } };
const hash = new Passwords().hash(PASSWORD);

async function person(scene: PeopleScene, email: string, ...roles: string[]): Promise<Account> {
  const { store, clock } = scene.gateway;
  const draft = { firstName: 'Ada', lastName: 'Lovelace', email, roles, passwordHash: await hash };
  const account = drawAccount(draft, epochSeconds(clock));
  await store.commitGroup.run('register', (tx) => putAccount(tx, account));
  return (await store.accounts.find(account.id)) as Account;
}

/** Signed calls at the origin at which people call too. */
class Operator extends Caller {
  private readonly target: PeopleScene['gateway'];

  constructor(target: PeopleScene['gateway'], key: Key) {
    super(target, key);
    this.target = target;
  }

  override sign(method: string, target: string, { body, headers = [] }: CallOptions = {}): RawRequest {
    const draft = { method, target, body: JSON.stringify(body) ?? '', headers, host: 'localhost' };
    return sign(this.target, this.key, draft);
  }
}

async function desk(roles: readonly string[], settings: Record<string, unknown> = {}) {
  const scene = await peopleScene({ settings });
  const operator = new Operator(scene.gateway, await scene.gateway.addConsumer('desk', ...roles));
  return { scene, operator };
}

const codes = ({ status, json }: Reply) => [status, json?.code];

describe('GET /v1/accounts', () => {
  test('lists accounts by pages, in the order of ids', async () => {
    const { scene, operator } = await desk(['operator:accounts:read']);
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push((await person(scene, `ada-${i}@example.org`)).id);
    const first = await operator.get('/v1/accounts?limit=3');
    const second = await operator.get(`/v1/accounts?limit=3&cursor=${first.json.next}`);
    expect([...first.json.items, ...second.json.items].map(({ name }) => name)).toEqual(ids.sort());
    expect(second.json.next).toBeNull();
    expect(first.json.items[0]).toMatchObject({ firstName: 'Ada', secondFactor: 'none', disabledAt: null });
    expect(JSON.stringify(first.json)).not.toContain('argon2');
  });

  test('is for those who hold the role', async () => {
    const { scene, operator } = await desk(['operator:consumers']);
    const { id } = await person(scene, EMAIL);
    expect(codes(await operator.get('/v1/accounts'))).toEqual([403, 'role-missing']);
    expect(codes(await operator.get(`/v1/accounts/${id}`))).toEqual([403, 'role-missing']);
    const reader = new Operator(
      scene.gateway,
      await scene.gateway.addConsumer('reader', 'operator:accounts:read'),
    );
    expect((await reader.get(`/v1/accounts/${id}`)).status).toBe(200);
    expect(codes(await reader.call('PATCH', `/v1/accounts/${id}`, { body: { disabled: true } }))).toEqual([
      403,
      'role-missing',
    ]);
    expect(codes(await reader.post(`/v1/accounts/${id}/logout`))).toEqual([403, 'role-missing']);
  });

  test('knows nobody by another id', async () => {
    const { operator } = await desk(['operator']);
    expect(codes(await operator.get(`/v1/accounts/${'0'.repeat(24)}`))).toEqual([404, 'not-found']);
  });

  test('is open to an operator by token too, and not by a password alone', async () => {
    const { scene } = await desk([]);
    const account = await person(scene, EMAIL, 'operator');
    const enrolment = await scene.enrol(account);
    const { json } = await scene.logIn({ totp: scene.code(enrolment) });
    const path = '/v1/accounts';
    expect((await scene.call({ path, bearer: json.accessToken })).status).toBe(200);
    expect((await scene.call({ path, basic: [EMAIL, PASSWORD] })).status).toBe(401);
  });
});

describe('PATCH /v1/accounts/{id}', () => {
  test('changes roles of the account and of its consumer, and ends the tokens that had others', async () => {
    const { scene, operator } = await desk(['operator:accounts']);
    const { id, consumer = '' } = await person(scene, EMAIL, 'orders', 'pictures');
    const { json } = await scene.logIn();
    const change = await operator.call('PATCH', `/v1/accounts/${id}`, { body: { roles: ['orders:read'] } });
    expect(change.status).toBe(200);
    expect(change.json).toMatchObject({ roles: ['orders:read'], email: EMAIL });
    expect(change.headers.get('etag')).toMatch(/^"2-/);
    expect(scene.gateway.store.consumers.find(consumer)?.roles).toEqual(['orders:read']);
    expect((await scene.whoami(json.accessToken)).status).toBe(401);
    const again = await scene.logIn();
    expect((await scene.whoami(again.json.accessToken)).json.roles).toEqual(['orders:read']);
  });

  test('disables an account with its keys and tokens, and enables it again', async () => {
    const { scene, operator } = await desk(['operator:accounts']);
    const { id, consumer = '' } = await person(scene, EMAIL);
    const { json } = await scene.logIn();
    const path = `/v1/accounts/${id}`;
    await operator.call('PATCH', path, { body: { disabled: true } });
    expect((await scene.whoami(json.accessToken)).status).toBe(401);
    expect((await scene.logIn()).status).toBe(401);
    expect(scene.gateway.store.consumers.find(consumer)?.disabledAt).toEqual(expect.any(Number));
    const enabled = await operator.call('PATCH', path, { body: { disabled: false } });
    expect(enabled.json.disabledAt).toBeNull();
    expect((await scene.logIn()).status).toBe(200);
    expect((await scene.whoami(json.accessToken)).status).toBe(401);
  });

  test('hands out no more of an operator than the caller has, nor touches those who have more', async () => {
    const { scene, operator } = await desk(['operator:accounts']);
    const plain = await person(scene, EMAIL);
    const chief = await person(scene, 'chief@example.org', 'operator');
    const roles = { body: { roles: ['operator:keys'] } };
    expect(codes(await operator.call('PATCH', `/v1/accounts/${plain.id}`, roles))).toEqual([
      403,
      'role-missing',
    ]);
    const own = { body: { roles: ['operator:accounts:read', 'orders'] } };
    expect((await operator.call('PATCH', `/v1/accounts/${plain.id}`, own)).status).toBe(200);
    for (const [method, path, body] of [
      ['PATCH', '', { disabled: true }],
      ['POST', '/logout', undefined],
      ['POST', '/second-factor/reset', undefined],
    ] as const) {
      const reply = await operator.call(method, `/v1/accounts/${chief.id}${path}`, { ...(body && { body }) });
      expect(codes(reply)).toEqual([403, 'role-missing']);
    }
  });

  test('tells every fault, and changes nothing that was changed since', async () => {
    const { scene, operator } = await desk(['operator']);
    const { id } = await person(scene, EMAIL);
    const path = `/v1/accounts/${id}`;
    for (const body of [
      {},
      { roles: 'orders' },
      { roles: ['Orders!'] },
      { disabled: 'yes' },
      { email: 'x' },
    ]) {
      expect(codes(await operator.call('PATCH', path, { body }))).toEqual([422, 'validation-failed']);
    }
    const { headers } = await operator.get(path);
    const conditions = [['If-Match', headers.get('etag') as string]] as const;
    const body = { roles: ['orders'] };
    expect((await operator.call('PATCH', path, { body, headers: conditions })).status).toBe(200);
    expect(codes(await operator.call('PATCH', path, { body, headers: conditions }))).toEqual([
      412,
      'precondition-failed',
    ]);
  });

  test('happens once per message, with one row in the audit record that names nobody', async () => {
    const { scene, operator } = await desk(['operator']);
    const { id } = await person(scene, EMAIL);
    const request = operator.sign('PATCH', `/v1/accounts/${id}`, { body: { roles: ['orders'] } });
    await operator.send(request);
    const again = await operator.send(request);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect((await scene.gateway.store.accounts.find(id))?.generation).toBe(1);
    const rows = [...scene.gateway.store.audit.rows()].filter(({ subject }) => subject === id);
    expect(rows).toHaveLength(1);
    expect(JSON.stringify(rows)).not.toMatch(/(?<![\w+/=-])ada(?![\w+/=-])|lovelace|example/i);
  });
});

describe('an operator', () => {
  test('removes a second factor that was lost, and every token ends', async () => {
    const { scene, operator } = await desk(['operator:accounts']);
    const account = await person(scene, EMAIL);
    const enrolment = await scene.enrol(account);
    const { json } = await scene.logIn({ totp: scene.code(enrolment) });
    expect((await operator.get(`/v1/accounts/${account.id}`)).json.secondFactor).toBe('confirmed');
    expect((await operator.post(`/v1/accounts/${account.id}/second-factor/reset`)).status).toBe(204);
    expect((await scene.whoami(json.accessToken)).status).toBe(401);
    expect((await scene.logIn()).status).toBe(200);
    expect((await operator.get(`/v1/accounts/${account.id}`)).json.secondFactor).toBe('none');
  });

  test('logs somebody out everywhere', async () => {
    const { scene, operator } = await desk(['operator:accounts']);
    const { id } = await person(scene, EMAIL);
    const { json } = await scene.logIn();
    expect((await operator.post(`/v1/accounts/${id}/logout`)).status).toBe(204);
    expect((await scene.whoami(json.accessToken)).status).toBe(401);
    const refresh = { method: 'POST', path: '/v1/token/refresh', body: { refreshToken: json.refreshToken } };
    expect((await scene.call(refresh)).status).toBe(401);
  });
});

describe('roles that the configuration does not list', () => {
  const settings = { roles: ['orders', 'reports:read'], ...INVITED };

  test.each<[string, (operator: Operator, id: string, roles: string[]) => Promise<Reply>, number]>([
    [
      'by an invitation',
      (operator, id, roles) => operator.post('/v1/invitations', { email: `new-${id}@example.org`, roles }),
      202,
    ],
    [
      'by a change',
      (operator, id, roles) => operator.call('PATCH', `/v1/accounts/${id}`, { body: { roles } }),
      200,
    ],
  ])('are handed out to nobody %s', async (_what, handOut, done) => {
    const { scene, operator } = await desk(['operator'], settings);
    const { id } = await person(scene, EMAIL);
    const refused = await handOut(operator, id, ['orders', 'reports', 'order']);
    expect(codes(refused)).toEqual([422, 'validation-failed']);
    expect(refused.json.errors).toEqual([
      { path: 'roles[1]', detail: 'there is no role "reports" here' },
      { path: 'roles[2]', detail: 'there is no role "order" here' },
    ]);
    // What operators do is there without being listed.
    const roles = ['orders:read', 'reports:read', 'operator:accounts'];
    expect((await handOut(operator, id, roles)).status).toBe(done);
  });
});

describe('POST /v1/invitations', () => {
  const newcomer = 'Grace-Brewster@example.org';

  test('writes a ticket to an address, and names it nowhere else', async () => {
    const { scene, operator } = await desk(['operator:accounts'], INVITED);
    const { store, clock, folder } = scene.gateway;
    const invited = await operator.post('/v1/invitations', { email: newcomer, roles: ['orders'] });
    expect(invited.status).toBe(202);
    expect(invited.json).toEqual({ id: expect.any(String), expires: expect.any(String) });
    const tickets = new Tickets({ vault: store.vault, clock });
    const place = join(folder, 'data', 'mail', tickets.addressTag(newcomer));
    // A draft lies there under another name before it is whole.
    const letters = () =>
      existsSync(place) ? readdirSync(place).filter((name) => name.endsWith('.eml')) : [];
    await expect.poll(letters).toHaveLength(1);
    const mail = readFileSync(join(place, letters()[0] as string), 'utf8');
    const ticket = /^eyJ\S+$/m.exec(mail)?.[0] ?? '';
    expect(await tickets.read(ticket, 'invitation')).toMatchObject({
      id: invited.json.id,
      roles: ['orders'],
    });
    const rows = JSON.stringify([...store.audit.rows()]);
    expect(rows).toContain('account.invite');
    expect(ticket).toMatch(/^eyJ[\w-]{20,}\.[\w-]{20,}/);
    // Long enough that no random id holds them.
    expect(rows).not.toMatch(/brewster|example\.org/i);
    expect(rows).not.toMatch(/eyJ[\w-]{20,}\.[\w-]{20,}/);
  });

  test('is refused beyond one’s own roles, to who has an account, and to no address at all', async () => {
    const { scene, operator } = await desk(['operator:accounts'], INVITED);
    await person(scene, EMAIL);
    const invite = (body: unknown) => operator.post('/v1/invitations', body);
    expect(codes(await invite({ email: newcomer, roles: ['operator'] }))).toEqual([403, 'role-missing']);
    expect(codes(await invite({ email: EMAIL.toUpperCase() }))).toEqual([409, 'conflict']);
    for (const email of ['grace', 'grace@example.org\r\nBcc: eve@example.org', '', 'a@b@c', 7]) {
      expect(codes(await invite({ email }))).toEqual([422, 'validation-failed']);
    }
  });

  test('is refused while registration is closed, since nobody could use its ticket', async () => {
    const { scene, operator } = await desk(['operator:accounts']);
    const refused = await operator.post('/v1/invitations', { email: newcomer });
    expect(codes(refused)).toEqual([409, 'conflict']);
    expect(refused.json.detail).toMatch(/accounts\.registration/);
    expect([...scene.gateway.store.audit.rows()].map(({ action }) => action)).not.toContain('account.invite');
  });

  test('is open to people with the role', async () => {
    const { scene } = await desk([], INVITED);
    const enrolment = await scene.enrol(await person(scene, EMAIL, 'operator:accounts'));
    const { json } = await scene.logIn({ totp: scene.code(enrolment) });
    const call = {
      method: 'POST',
      path: '/v1/invitations',
      bearer: json.accessToken,
      body: { email: newcomer },
    };
    expect((await scene.call(call)).json.code).toBe('idempotency-key-missing');
    expect((await scene.call({ ...call, headers: idempotencyKey() })).status).toBe(202);
  });
});

describe('a grant', () => {
  test('that asks for a second factor goes to the person, and never to their keys', async () => {
    const { scene, operator } = await desk(['operator']);
    const account = await person(scene, EMAIL, 'orders');
    const { json } = await scene.logIn();
    const ask = { method: 'POST', path: '/v1/grants', bearer: json.accessToken, headers: idempotencyKey() };
    const asked = await scene.call({ ...ask, body: { role: 'operator:keys' } });
    expect([asked.status, asked.json.status]).toEqual([201, 'requested']);
    const own = await scene.call({ path: '/v1/grants', bearer: json.accessToken });
    expect(own.json.items).toEqual([
      expect.objectContaining({ id: asked.json.id, consumer: account.consumer }),
    ]);
    const decision = await operator.post(`/v1/grants/${asked.json.id}/decision`, { decision: 'grant' });
    expect(decision.json.status).toBe('granted');
    const { store } = scene.gateway;
    expect((await store.accounts.find(account.id))?.roles).toEqual(['orders', 'operator:keys']);
    expect(store.consumers.find(account.consumer as string)?.roles).toEqual(['orders']);
    // The role asks for a code from now on.
    expect((await scene.logIn()).status).toBe(401);
  });

  test('of others is not shown to people', async () => {
    const { scene, operator } = await desk([]);
    await person(scene, EMAIL);
    const asked = await operator.post('/v1/grants', { role: 'orders' });
    const { json } = await scene.logIn();
    const get = (path: string) => scene.call({ path, bearer: json.accessToken });
    expect((await get(`/v1/grants/${asked.json.id}`)).status).toBe(404);
    expect((await get('/v1/grants?consumer=desk')).status).toBe(403);
    expect((await get('/v1/grants')).json.items).toEqual([]);
  });
});

test("a person's consumer is changed through the account alone", async () => {
  const { scene, operator } = await desk(['operator']);
  const { id, consumer = '' } = await person(scene, EMAIL);
  const path = `/v1/consumers/${consumer}`;
  const change = await operator.call('PATCH', path, { body: { roles: ['operator'] } });
  expect(codes(change)).toEqual([409, 'conflict']);
  expect(change.json.detail).toContain(`/v1/accounts/${id}`);
  expect(codes(await operator.call('DELETE', path))).toEqual([409, 'conflict']);
  expect(scene.gateway.store.consumers.find(consumer)?.roles).toEqual([]);
});
