/** `/v1/grants`, `/v1/roles` and `/v1/usage`, over the wire. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Api, type Caller, pathsOf, recorded, startApi } from './api.ts';

let api: Api;
let operator: Caller;
let count = 0;

const settings = {
  roles: ['orders', 'billing', { name: 'reports', grantable: true }],
  routes: [{ path: '/orders', upstream: 'http://127.0.0.1:9', role: 'orders:write' }],
};

beforeAll(async () => {
  api = await startApi({ settings });
  operator = await api.register('ops', 'operator');
});
afterAll(() => api.close());

const newcomer = (...roles: string[]) => api.register(`shop-${++count}`, ...roles);
const rolesOf = async (caller: Caller) => (await caller.get('/v1/whoami')).json.roles;

describe('a role that is marked as grantable', () => {
  it('is granted at once, with a place', async () => {
    const shop = await newcomer('orders');
    const reply = await shop.post('/v1/grants', { role: 'reports:read' });
    expect(reply).toMatchObject({ status: 201, json: { role: 'reports:read', status: 'granted' } });
    expect(await rolesOf(shop)).toEqual(['orders', 'reports:read']);
    expect((await shop.get(reply.headers.get('location') as string)).json).toEqual(reply.json);
    expect(recorded(api)).toContain(`grant.ask ${reply.json.consumer}`);
  });

  it('takes in what it grants', async () => {
    const shop = await newcomer();
    await shop.post('/v1/grants', { role: 'reports:read' });
    await shop.post('/v1/grants', { role: 'reports' });
    expect(await rolesOf(shop)).toEqual(['reports']);
  });
});

describe('any other role', () => {
  it('waits for an operator, who says yes', async () => {
    const shop = await newcomer();
    const { json } = await shop.post('/v1/grants', { role: 'billing' });
    expect(json).toMatchObject({ status: 'requested', decidedAt: null });
    expect(await rolesOf(shop)).toEqual([]);
    const waiting = (await operator.get('/v1/grants?status=requested')).json.items;
    expect(waiting.map(({ name }) => name)).toContain(json.id);
    const granted = await operator.post(`/v1/grants/${json.id}/decision`, { decision: 'grant' });
    expect(granted).toMatchObject({ status: 200, json: { id: json.id, status: 'granted' } });
    expect(await rolesOf(shop)).toEqual(['billing']);
    const late = await operator.post(`/v1/grants/${json.id}/decision`, { decision: 'deny' });
    expect(late).toMatchObject({ status: 409, json: { code: 'conflict' } });
    expect(await rolesOf(shop)).toEqual(['billing']);
  });

  it('or no', async () => {
    const shop = await newcomer();
    const { json } = await shop.post('/v1/grants', { role: 'billing' });
    await operator.post(`/v1/grants/${json.id}/decision`, { decision: 'deny' });
    expect(await rolesOf(shop)).toEqual([]);
    expect((await shop.get(`/v1/grants/${json.id}`)).json.status).toBe('denied');
    expect((await shop.post('/v1/grants', { role: 'billing' })).status).toBe(201);
  });

  it('of operators only by one who holds it', async () => {
    const shop = await newcomer();
    const clerk = await newcomer('operator:grants');
    const { json } = await shop.post('/v1/grants', { role: 'operator:keys' });
    expect(json.status).toBe('requested');
    const path = `/v1/grants/${json.id}/decision`;
    expect(await clerk.post(path, { decision: 'grant' })).toMatchObject({
      status: 403,
      json: { code: 'role-missing' },
    });
    expect((await operator.post(path, { decision: 'grant' })).status).toBe(200);
    expect(await rolesOf(shop)).toEqual(['operator:keys']);
  });
});

describe('a request for a role', () => {
  it.each<[unknown, string[]]>([
    [undefined, ['']],
    [{}, ['role']],
    [{ role: 'Orders' }, ['role']],
    [{ role: 'any' }, ['role']],
    [{ role: 'unheard-of' }, ['role']],
    [{ role: ['orders'], why: 'please' }, ['role', 'why']],
  ])('is refused where it is %j', async (body, paths) => {
    const shop = await newcomer();
    expect(pathsOf(await shop.post('/v1/grants', body))).toEqual(paths);
    expect((await shop.get('/v1/grants')).json.items).toEqual([]);
  });

  it('conflicts where it was asked for, or is held', async () => {
    const shop = await newcomer('orders');
    expect((await shop.post('/v1/grants', { role: 'orders:read' })).json.code).toBe('conflict');
    expect((await shop.post('/v1/grants', { role: 'billing' })).status).toBe(201);
    expect((await shop.post('/v1/grants', { role: 'billing' })).json.code).toBe('conflict');
    expect((await shop.get('/v1/grants')).json.items).toHaveLength(1);
  });

  it('waits with 15 others at most', async () => {
    const shop = await newcomer();
    const statuses: number[] = [];
    for (let i = 0; i < 17; i++)
      statuses.push((await shop.post('/v1/grants', { role: `billing:${i}` })).status);
    expect(statuses).toEqual([...Array(16).fill(201), 409]);
  });

  it('is made with an un-narrowed key alone', async () => {
    const shop = await newcomer('orders');
    const narrowed = await shop.post('/v1/grants', { role: 'reports' }, [['Countersign-Narrow', 'orders']]);
    expect(narrowed).toMatchObject({ status: 403, json: { code: 'key-forbidden' } });
    const { name } = api.gateway.store.consumers.findKey(shop.key.keyid)?.consumer ?? { name: '' };
    const part = (await operator.post(`/v1/consumers/${name}/keys`, { roleSubset: ['orders'] })).json;
    const limited = await shop.with(part).post('/v1/grants', { role: 'reports' });
    expect(limited).toMatchObject({ status: 403, json: { code: 'key-forbidden' } });
    expect(await rolesOf(shop)).toEqual(['orders']);
    for (const { json } of [narrowed, limited]) expect(json.detail).toContain('a key that grants all');
  });

  it('sent again asks once', async () => {
    const shop = await newcomer();
    const request = shop.sign('POST', '/v1/grants', { body: { role: 'billing' } });
    const first = await shop.send(request);
    const again = await shop.send(request);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(again.json).toEqual(first.json);
    expect((await shop.get('/v1/grants')).json.items).toHaveLength(1);
  });
});

describe('grants', () => {
  it("are the caller's own alone, but for operators", async () => {
    const [shop, rival] = [await newcomer(), await newcomer()];
    const { json } = await shop.post('/v1/grants', { role: 'billing' });
    expect((await rival.get('/v1/grants')).json.items).toEqual([]);
    expect((await rival.get(`/v1/grants/${json.id}`)).status).toBe(404);
    expect(await rival.get(`/v1/grants?consumer=${json.consumer}`)).toMatchObject({
      status: 403,
      json: { code: 'role-missing' },
    });
    expect((await rival.post(`/v1/grants/${json.id}/decision`, { decision: 'grant' })).status).toBe(403);
    const own = await shop.get(`/v1/grants?consumer=${json.consumer}&status=requested`);
    expect(own.json.items.map(({ name }) => name)).toEqual([json.id]);
    const reader = await newcomer('operator:grants:read');
    expect((await reader.get(`/v1/grants?consumer=${json.consumer}`)).json.items).toHaveLength(1);
    expect((await reader.get(`/v1/grants/${json.id}`)).json).toEqual(json);
  });

  it('are listed by pages', async () => {
    const first = (await operator.get('/v1/grants?limit=1')).json;
    expect(first.items).toHaveLength(1);
    const second = (await operator.get(`/v1/grants?limit=1&cursor=${first.next}`)).json;
    expect(second.items[0]?.name).not.toBe(first.items[0]?.name);
  });

  it.each([
    ['status=done', ['status']],
    ['status=granted&status=denied', ['status']],
    ['limit=x&role=a', ['limit', 'role']],
  ])('are never filtered by %s', async (query, paths) => {
    expect(pathsOf(await operator.get(`/v1/grants?${query}`)).sort()).toEqual(paths);
  });

  it.each<[unknown, string[]]>([
    [{ decision: 'maybe' }, ['decision']],
    [{}, ['decision']],
    [{ decision: 'grant', role: 'operator' }, ['role']],
  ])('are never decided by %j', async (body, paths) => {
    expect(pathsOf(await operator.post('/v1/grants/x/decision', body))).toEqual(paths);
  });

  it('are told in plain words what a member may be', async () => {
    const { json } = await operator.post('/v1/grants/x/decision', { decision: 'maybe' });
    expect(json.detail).toContain('decision: it must be "grant" or "deny".');
    const typed = await operator.post('/v1/consumers/x/keys', { label: 5 });
    expect(typed.json.detail).not.toContain('Invalid input');
  });

  it('that are not there are not found', async () => {
    expect((await operator.post('/v1/grants/x/decision', { decision: 'grant' })).status).toBe(404);
  });
});

describe('roles', () => {
  it('are told with the routes that ask for them', async () => {
    const { items } = (await operator.get('/v1/roles?limit=100')).json;
    const named = new Map(items.map((item) => [item.name, item]));
    expect(named.get('reports')).toEqual({ name: 'reports', grantable: true, routes: [] });
    expect(named.get('orders:write')).toEqual({
      name: 'orders:write',
      grantable: false,
      routes: ['/orders'],
    });
    expect(named.get('operator:keys')).toMatchObject({
      routes: expect.arrayContaining(['POST /v1/consumers/{name}/keys']),
    });
    expect(named.has('any')).toBe(false);
    expect((await (await newcomer('orders')).get('/v1/roles')).status).toBe(403);
  });

  it('that the configuration does not list are handed out to no consumer', async () => {
    const add = (...roles: string[]) => operator.post('/v1/consumers', { name: 'listed', roles });
    const change = (...roles: string[]) =>
      operator.call('PATCH', '/v1/consumers/listed', { body: { roles } });
    // What operators do is there without being listed.
    const known = ['orders:read', 'operator:keys:read'];
    expect(pathsOf(await add('orders', 'order'))).toEqual(['roles[1]']);
    expect((await add(...known)).status).toBe(201);
    expect(pathsOf(await change('throne', 'orders'))).toEqual(['roles[0]']);
    expect((await change('billing', ...known)).status).toBe(200);
  });

  it('that are not listed any more can only be denied to who has asked for them', async () => {
    const shop = await newcomer();
    const { json } = await shop.post('/v1/grants', { role: 'billing' });
    const grant = api.gateway.store.consumers.findGrant(json.id as string);
    if (!grant) throw new Error('it was not kept');
    await api.gateway.store.commitGroup.run('ask before', (tx) =>
      tx.consumers.putGrant({ ...grant, id: 'of-before', role: 'throne' }),
    );
    const path = '/v1/grants/of-before/decision';
    expect(await operator.post(path, { decision: 'grant' })).toMatchObject({
      status: 409,
      json: { code: 'conflict' },
    });
    expect(await rolesOf(shop)).toEqual([]);
    expect((await operator.post(path, { decision: 'deny' })).status).toBe(200);
  });
});

describe('usage', () => {
  it('is told by consumer and key', async () => {
    const shop = await newcomer('orders');
    const used = { lastUsed: Math.floor(api.gateway.clock.now() / 1000), calls: 7 };
    await api.gateway.store.commitGroup.run('use', (tx) => tx.consumers.addUsage(shop.key.keyid, used));
    const { items } = (await operator.get('/v1/usage?limit=100')).json;
    const lastUsed = new Date(used.lastUsed * 1000).toISOString();
    expect(items.find(({ name }) => name === `shop-${count}`)).toEqual({
      name: `shop-${count}`,
      calls: 7,
      lastUsed,
      keys: [{ keyid: shop.key.keyid, calls: 7, lastUsed }],
    });
    expect((await shop.get('/v1/usage')).status).toBe(403);
    expect((await operator.get('/v1/usage?limit=1')).json.next).not.toBeNull();
  });
});
