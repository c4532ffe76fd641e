/** `/v1/consumers/{name}/keys` and `/v1/keys`, over the wire. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Api, type Caller, pathsOf, startApi } from './api.ts';

const DAY = 24 * 3600;
let api: Api;
let operator: Caller;
let shop: Caller;

beforeAll(async () => {
  api = await startApi();
  operator = await api.register('ops', 'operator');
  shop = await api.register('shop', 'orders', 'reports');
});
afterAll(() => api.close());

const now = () => Math.floor(api.gateway.clock.now() / 1000);
const iso = (seconds: number) => new Date(seconds * 1000).toISOString();
const keyOf = (keyid: string) => api.gateway.store.consumers.findKey(keyid)?.key;

describe('a key is issued', () => {
  it('as it was asked for', async () => {
    const draft = {
      label: 'till 3',
      notBefore: iso(now()),
      notAfter: iso(now() + 30 * DAY),
      roleSubset: ['orders:read'],
      allow: ['127.0.0.0/8', 'fd00::/8'],
    };
    const reply = await operator.post('/v1/consumers/shop/keys', draft);
    expect(reply).toMatchObject({ status: 201, json: { consumer: 'shop', roles: ['orders:read'] } });
    const { keyid } = reply.json;
    expect(reply.headers.get('location')).toBe(`/v1/consumers/shop/keys/${keyid}`);
    const shown = await operator.get(reply.headers.get('location') as string);
    expect(shown.json).toEqual({
      ...draft,
      notBefore: iso(now()),
      notAfter: iso(now() + 30 * DAY),
      name: keyid,
      keyid,
      status: 'active',
      certificateUri: null,
      lastUsed: null,
    });
    expect((await operator.with(reply.json).get('/v1/whoami')).json.roles).toEqual(['orders:read']);
  });

  it('for calls that come with a client certificate alone', async () => {
    const certificateUri = 'spiffe://example.com/shop';
    const { json } = await operator.post('/v1/consumers/shop/keys', { certificateUri });
    const path = `/v1/consumers/shop/keys/${json.keyid}`;
    expect((await operator.get(path)).json).toMatchObject({ certificateUri });
    const successor = await operator.post(`${path}/rotate`);
    expect(keyOf(successor.json.keyid)).toMatchObject({ certificateUri });
    const rows = [...api.gateway.store.audit.rows()];
    const row = rows.find(({ action, subject }) => action === 'key.add' && subject === json.keyid);
    expect(JSON.parse(row?.detail ?? '')).toMatchObject({ certificateUri });
  });

  it('for 90 days, from anywhere, with all roles, where nothing is asked for', async () => {
    const { json } = await operator.post('/v1/consumers/shop/keys', {});
    expect(json.roles).toEqual(['orders', 'reports']);
    expect((await operator.get(`/v1/consumers/shop/keys/${json.keyid}`)).json).toMatchObject({
      label: null,
      notBefore: iso(now()),
      notAfter: iso(now() + 90 * DAY),
      roleSubset: null,
      allow: null,
    });
  });

  it.each<[string, Record<string, unknown>, string[]]>([
    ['an end in the past', { notAfter: '2020-01-01T00:00:00Z' }, ['notAfter']],
    ['a beginning in the past', { notBefore: '2020-01-01T00:00:00Z' }, ['notBefore']],
    ['a time without a zone', { notAfter: '2099-01-01T00:00:00' }, ['notAfter']],
    ['a time in seconds', { notAfter: 4_000_000_000 }, ['notAfter']],
    ['a day that is none', { notAfter: '2027-02-30T00:00:00Z' }, ['notAfter']],
    ['a certificate name that is none', { certificateUri: 'shop' }, ['certificateUri']],
    ['a CIDR that does not parse', { allow: ['10.0.0.0/8', '10.0.0.0/33', 'x'] }, ['allow[1]', 'allow[2]']],
    ['nowhere to call from', { allow: [] }, ['allow']],
    ['a role off the grammar', { roleSubset: ['Orders'] }, ['roleSubset[0]']],
    ['a label of two lines', { label: 'a\nb' }, ['label']],
    ['unknown fields', { expires: 'never' }, ['expires']],
    [
      'all of it',
      { notAfter: '2020-01-01T00:00:00Z', allow: ['x'], roleSubset: ['X'], label: 5, more: 1 },
      ['label', 'more', 'notAfter', 'roleSubset[0]', 'allow[0]'],
    ],
  ])('never with %s, and every fault is told', async (_what, draft, paths) => {
    const before = api.gateway.store.consumers.keysOf('shop').length;
    expect(pathsOf(await operator.post('/v1/consumers/shop/keys', draft))).toEqual(paths);
    expect(api.gateway.store.consumers.keysOf('shop')).toHaveLength(before);
  });

  it('never for a consumer that is not there', async () => {
    expect((await operator.post('/v1/consumers/nobody/keys', {})).status).toBe(404);
  });

  it('never for an operator by one who holds less', async () => {
    const clerk = await api.register('key-clerk', 'operator:keys');
    expect((await clerk.post('/v1/consumers/shop/keys', {})).status).toBe(201);
    const { keyid } = operator.key;
    const refused = [
      await clerk.post('/v1/consumers/ops/keys', {}),
      await clerk.post('/v1/consumers/ops/keys', { roleSubset: ['orders'] }),
      await clerk.post(`/v1/consumers/ops/keys/${keyid}/rotate`),
      await clerk.call('DELETE', `/v1/consumers/ops/keys/${keyid}`),
    ];
    for (const reply of refused) expect(reply).toMatchObject({ status: 403, json: { code: 'role-missing' } });
    expect(keyOf(keyid)?.revokedAt).toBeUndefined();
  });
});

describe('a key is revoked', () => {
  it('and refused from then on, and stays on the list', async () => {
    const issued = (await operator.post('/v1/consumers/shop/keys', { label: 'lost' })).json;
    const path = `/v1/consumers/shop/keys/${issued.keyid}`;
    expect(await operator.call('DELETE', path)).toMatchObject({ status: 204 });
    expect(await operator.with(issued).get('/v1/whoami')).toMatchObject({
      status: 401,
      json: { code: 'key-inactive' },
    });
    expect((await operator.call('DELETE', path)).status).toBe(204);
    const { items } = (await operator.get('/v1/consumers/shop/keys?limit=100')).json;
    expect(items.find(({ name }) => name === issued.keyid)).toMatchObject({
      status: 'revoked',
      label: 'lost',
    });
  });

  it.each(['nothing', 'ops', ''])('never under another name than its own: %s', async (keyid) => {
    const named = keyid === 'ops' ? operator.key.keyid : keyid;
    const reply = await operator.call('DELETE', `/v1/consumers/shop/keys/${named || 'x'}`);
    expect(reply).toMatchObject({ status: 404, json: { code: 'not-found' } });
  });

  it('never on a condition that can not hold', async () => {
    const path = `/v1/consumers/shop/keys/${shop.key.keyid}`;
    const reply = await operator.call('DELETE', path, { headers: [['If-Match', '"1"']] });
    expect(reply).toMatchObject({ status: 412, json: { code: 'precondition-failed' } });
    expect(keyOf(shop.key.keyid)?.revokedAt).toBeUndefined();
  });
});

describe("a consumer's own keys", () => {
  it('are its own alone, and the one that signs is marked', async () => {
    const { items, next } = (await shop.get('/v1/keys?limit=100')).json;
    expect(next).toBeNull();
    expect(items.map(({ keyid }) => keyid).sort()).toEqual(
      api.gateway.store.consumers
        .keysOf('shop')
        .map(({ keyid }) => keyid)
        .sort(),
    );
    expect(items.filter(({ signing }) => signing).map(({ keyid }) => keyid)).toEqual([shop.key.keyid]);
    expect(items.find(({ signing }) => signing)).toMatchObject({
      calls: expect.any(Number),
      successor: null,
    });
    expect(JSON.stringify(items)).not.toMatch(/secret/i);
  });

  it('come by pages', async () => {
    const first = (await shop.get('/v1/keys?limit=1')).json;
    const second = (await shop.get(`/v1/keys?limit=1&cursor=${first.next}`)).json;
    expect(first.items).toHaveLength(1);
    expect(second.items).toHaveLength(1);
    expect((first.items[0]?.name as string) < (second.items[0]?.name as string)).toBe(true);
  });
});

describe('a key rotates itself', () => {
  const fresh = async (draft: Record<string, unknown> = {}) => {
    const { json } = await operator.post('/v1/consumers/shop/keys', draft);
    return operator.with(json);
  };

  it('once, into a successor that inherits what it had', async () => {
    const old = await fresh({ label: 'till', roleSubset: ['orders'], allow: ['127.0.0.1'] });
    const vouchedAt = keyOf(old.key.keyid)?.vouchedAt;
    api.gateway.clock.advance(100);
    const reply = await old.post('/v1/keys/rotate');
    expect(reply).toMatchObject({
      status: 201,
      json: { consumer: 'shop', roles: ['orders'], previousValidUntil: iso(now() + DAY) },
    });
    expect(keyOf(reply.json.keyid)).toMatchObject({
      label: 'till',
      roleSubset: ['orders'],
      allow: ['127.0.0.1'],
      vouchedAt,
    });
    const next = operator.with(reply.json);
    expect((await next.get('/v1/whoami')).status).toBe(200);
    expect((await old.get('/v1/whoami')).status).toBe(200);
    expect(await old.post('/v1/keys/rotate')).toMatchObject({ status: 409, json: { code: 'conflict' } });
    api.gateway.clock.advance(DAY + 1);
    expect((await old.get('/v1/whoami')).json.code).toBe('key-inactive');
    expect((await next.get('/v1/whoami')).status).toBe(200);
  });

  it('with the overlap that it asks for', async () => {
    const old = await fresh();
    const { json } = await old.post('/v1/keys/rotate', { overlap: 60 });
    expect(json.previousValidUntil).toBe(iso(now() + 60));
    expect(keyOf(old.key.keyid)?.notAfter).toBe(now() + 60);
  });

  it('never with an overlap beyond its own life', async () => {
    const old = await fresh({ notAfter: iso(now() + 600) });
    expect(pathsOf(await old.post('/v1/keys/rotate', { overlap: 601 }))).toEqual(['overlap']);
    expect(pathsOf(await old.post('/v1/keys/rotate', { overlap: -1 }))).toEqual(['overlap']);
    expect(pathsOf(await old.post('/v1/keys/rotate', { overlap: 1.5, keyid: 'x' }))).toEqual([
      'overlap',
      'keyid',
    ]);
    expect(keyOf(old.key.keyid)?.successor).toBeUndefined();
    expect((await old.post('/v1/keys/rotate', { overlap: 600 })).status).toBe(201);
  });

  it('never by a narrowed call', async () => {
    const old = await fresh();
    const reply = await old.post('/v1/keys/rotate', undefined, [['Countersign-Narrow', 'orders']]);
    expect(reply).toMatchObject({ status: 403, json: { code: 'key-forbidden' } });
    expect(keyOf(old.key.keyid)?.successor).toBeUndefined();
  });

  it('for a year, after which an operator must renew its line', async () => {
    let key = await fresh();
    for (let month = 0; month < 5; month++) {
      api.gateway.clock.advance(72 * DAY);
      key = operator.with((await key.post('/v1/keys/rotate')).json);
    }
    api.gateway.clock.advance(5 * DAY);
    const late = await key.post('/v1/keys/rotate');
    expect(late).toMatchObject({ status: 403, json: { code: 'key-forbidden' } });
    expect(late.json.detail).toContain('an operator must renew it');
    // The operator's own key has ended long ago.
    const chief = await api.register('chief', 'operator');
    const path = `/v1/consumers/shop/keys/${key.key.keyid}/rotate`;
    const renewed = await chief.post(path, { overlap: 0 });
    expect(renewed.status).toBe(201);
    expect(keyOf(renewed.json.keyid)?.vouchedAt).toBe(now());
    expect((await operator.with(renewed.json).post('/v1/keys/rotate')).status).toBe(201);
  });
});

describe('the demo role', () => {
  it.each([
    ['GET', '/v1/keys'],
    ['POST', '/v1/keys/rotate'],
    ['GET', '/v1/grants'],
    ['POST', '/v1/grants'],
  ])('is kept from %s %s', async (method, path) => {
    const demo = operator.with(api.gateway.credentials);
    const visitor = await api.register(`visitor-${Math.random().toString(36).slice(2)}`, 'demo');
    const reply = await visitor.call(method, path, { body: method === 'POST' ? { role: 'x' } : undefined });
    expect(reply).toMatchObject({ status: 403, json: { code: 'role-missing' } });
    expect(demo.key.keyid).toMatch(/^demo\./);
  });

  it('echoes', async () => {
    const visitor = await api.register('visitor', 'demo');
    expect((await visitor.post('/v1/echo', { tea: 2 })).status).toBe(200);
  });
});
