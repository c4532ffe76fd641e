/** `/v1/consumers`, over the wire. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Api, type Caller, pathsOf, recorded, startApi } from './api.ts';

let api: Api;
let operator: Caller;
const changesOf = () => recorded(api).filter((row) => !row.startsWith('call.'));

beforeAll(async () => {
  api = await startApi();
  operator = await api.register('ops', 'operator');
});
afterAll(() => api.close());

describe('a consumer is registered', () => {
  it('with a key that is good at once, and a place', async () => {
    const reply = await operator.post('/v1/consumers', { name: 'shop', roles: ['orders', 'orders'] });
    expect(reply.status).toBe(201);
    expect(reply.headers.get('location')).toBe('/v1/consumers/shop');
    expect(reply.json).toEqual({
      consumer: 'shop',
      keyid: expect.stringMatching(/^shop\./),
      secret: expect.stringMatching(/^[A-Za-z0-9+/]{86}==$/),
      roles: ['orders'],
    });
    const whoami = await operator.with(reply.json).get('/v1/whoami');
    expect(whoami.json).toMatchObject({ consumer: 'shop', roles: ['orders'] });
  });

  it('without roles where none are named', async () => {
    const reply = await operator.post('/v1/consumers', { name: 'bare' });
    expect(reply).toMatchObject({ status: 201, json: { consumer: 'bare', roles: [] } });
  });

  it('and the change is on record with who made it, without the secret', async () => {
    const reply = await operator.post('/v1/consumers', { name: 'traced', roles: ['orders'] });
    const rows = [...api.gateway.store.audit.rows()];
    const row = rows.findLast(({ action }) => action === 'consumer.add');
    expect(row).toMatchObject({
      subject: 'traced',
      keyid: operator.key.keyid,
      actor: api.gateway.store.consumers.find('ops')?.id,
      requestId: reply.headers.get('countersign-request-id'),
    });
    expect(JSON.parse(row?.detail ?? '')).toEqual({ roles: ['orders'], keyid: reply.json.keyid });
    expect(JSON.stringify(rows)).not.toContain(reply.json.secret);
  });

  it('once under a name', async () => {
    await operator.post('/v1/consumers', { name: 'taken' });
    const again = await operator.post('/v1/consumers', { name: 'taken', roles: ['orders'] });
    expect(again).toMatchObject({ status: 409, json: { code: 'conflict' } });
    expect(api.gateway.store.consumers.find('taken')?.roles).toEqual([]);
  });

  it.each<[string, unknown, string[]]>([
    ['no body', undefined, ['']],
    ['a list', [], ['']],
    ['null', 'null', ['']],
    ['a missing name', {}, ['name']],
    ['a name of another kind', { name: 5 }, ['name']],
    ['an upper-case name', { name: 'Shop' }, ['name']],
    ['a name that begins with a hyphen', { name: '-a' }, ['name']],
    ['a name of 64 characters', { name: 'a'.repeat(64) }, ['name']],
    ['an empty name', { name: '' }, ['name']],
    ['roles that are no list', { name: 'a', roles: 'orders' }, ['roles']],
    ['a role off the grammar', { name: 'a', roles: ['ok', 'Not', 'any', 5] }, ['roles[3]']],
    ['unknown fields', { name: 'a', roels: [], admin: true }, ['roels', 'admin']],
    ['__proto__', '{"name":"a","__proto__":{"roles":["operator"]}}', ['__proto__']],
    ['constructor', '{"name":"a","constructor":1}', ['constructor']],
    ['too many roles', { name: 'a', roles: Array.from({ length: 65 }, (_, i) => `r${i}`) }, ['roles']],
    [
      'much at once',
      { name: 'A', roles: ['B', 'c', ':'], more: 1 },
      ['more', 'name', 'roles[0]', 'roles[2]'],
    ],
  ])('never with %s, and every fault is told', async (_what, body, paths) => {
    const before = [api.gateway.store.consumers.list().length, changesOf().length];
    const reply = await operator.post('/v1/consumers', body);
    expect(pathsOf(reply)).toEqual(paths);
    for (const { detail } of reply.json.errors) expect(detail.length).toBeGreaterThan(5);
    expect([api.gateway.store.consumers.list().length, changesOf().length]).toEqual(before);
  });

  it.each([
    ['a name that stands twice', '{"name":"a","name":"b"}'],
    ['the same name written in two ways', '{"name":"a","n\\u0061me":"b"}'],
    ['33 levels', `{"name":${'['.repeat(32)}${']'.repeat(32)}}`],
    ['no JSON', '{"name":'],
  ])('never with %s: that is malformed', async (_what, body) => {
    const reply = await operator.post('/v1/consumers', body);
    expect(reply).toMatchObject({ status: 400, json: { code: 'json-malformed' } });
  });

  it('never with a parameter that nobody knows', async () => {
    expect(pathsOf(await operator.post('/v1/consumers?dry=1', { name: 'Q' }))).toEqual(['dry', 'name']);
  });
});

describe('a consumer is shown', () => {
  it('with an entity tag', async () => {
    await operator.post('/v1/consumers', { name: 'shown', roles: ['orders'] });
    const reply = await operator.get('/v1/consumers/shown');
    expect(reply.status).toBe(200);
    expect(reply.headers.get('etag')).toMatch(/^"1-[0-9a-f]{8}"$/);
    expect(reply.json).toEqual({
      name: 'shown',
      id: api.gateway.store.consumers.find('shown')?.id,
      roles: ['orders'],
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      disabledAt: null,
    });
    const etag = reply.headers.get('etag') as string;
    const again = await operator.get('/v1/consumers/shown', { headers: [['If-None-Match', etag]] });
    expect(again).toMatchObject({ status: 304, json: undefined });
    expect(again.headers.get('etag')).toBe(etag);
    const other = await operator.get('/v1/consumers/shown', { headers: [['If-None-Match', '"0"']] });
    expect(other.status).toBe(200);
  });

  it.each(['nobody', 'Shop', '__proto__', 'a.b', 'x%20y'])('or not found: %s', async (name) => {
    const reply = await operator.get(`/v1/consumers/${name}`);
    expect(reply).toMatchObject({ status: 404, json: { code: 'not-found' } });
  });

  it('by HEAD without its body', async () => {
    expect(await operator.call('HEAD', '/v1/consumers/ops')).toMatchObject({ status: 200, json: undefined });
  });
});

describe('a consumer is changed', () => {
  let shop: Caller;
  beforeAll(async () => {
    shop = await api.register('changing', 'orders');
  });
  const patch = (body: unknown, headers: [string, string][] = []) =>
    operator.call('PATCH', '/v1/consumers/changing', { body, headers });

  it('in its roles, in force at once', async () => {
    const reply = await patch({ roles: ['orders', 'reports'] });
    expect(reply).toMatchObject({ status: 200, json: { roles: ['orders', 'reports'] } });
    expect((await shop.get('/v1/whoami')).json.roles).toEqual(['orders', 'reports']);
  });

  it('and is refused while it is disabled', async () => {
    const disabled = await patch({ disabled: true });
    expect(disabled.json.disabledAt).not.toBeNull();
    expect(await shop.get('/v1/whoami')).toMatchObject({ status: 401, json: { code: 'key-inactive' } });
    const twice = await patch({ disabled: true });
    expect(twice.json.disabledAt).toBe(disabled.json.disabledAt);
    expect((await patch({ disabled: false })).json.disabledAt).toBeNull();
    expect((await shop.get('/v1/whoami')).status).toBe(200);
  });

  it('only if nobody was faster, where If-Match says so', async () => {
    const before = (await operator.get('/v1/consumers/changing')).headers.get('etag') as string;
    const first = await patch({ roles: ['a'] }, [['If-Match', before]]);
    expect(first.status).toBe(200);
    expect(first.headers.get('etag')).not.toBe(before);
    expect((await operator.get('/v1/consumers/changing')).headers.get('etag')).toBe(
      first.headers.get('etag'),
    );
    const late = await patch({ roles: ['b'] }, [['If-Match', before]]);
    expect(late).toMatchObject({ status: 412, json: { code: 'precondition-failed' } });
    expect(api.gateway.store.consumers.find('changing')?.roles).toEqual(['a']);
    const weak = await patch({ roles: ['b'] }, [['If-Match', `W/${first.headers.get('etag')}`]]);
    expect(weak.status).toBe(412);
    const among = await patch({ roles: ['c'] }, [['If-Match', `"x", ${first.headers.get('etag')}`]]);
    expect(among.status).toBe(200);
    expect((await patch({ roles: ['d'] }, [['If-Match', '*']])).status).toBe(200);
  });

  it('never to the tag of one that was removed and registered anew', async () => {
    await operator.post('/v1/consumers', { name: 'phoenix' });
    const old = (await operator.get('/v1/consumers/phoenix')).headers.get('etag') as string;
    await operator.call('DELETE', '/v1/consumers/phoenix');
    await operator.post('/v1/consumers', { name: 'phoenix' });
    const late = await operator.call('DELETE', '/v1/consumers/phoenix', { headers: [['If-Match', old]] });
    expect(late.status).toBe(412);
  });

  it.each<[unknown, string[]]>([
    [{}, ['']],
    [undefined, ['']],
    [{ roles: ['X'], disabled: 'yes', name: 'new' }, ['disabled', 'name', 'roles[0]']],
    [{ roles: null }, ['roles']],
  ])('never to %j', async (body, paths) => {
    const before = api.gateway.store.consumers.find('changing');
    expect(pathsOf(await patch(body)).sort()).toEqual(paths.sort());
    expect(api.gateway.store.consumers.find('changing')).toEqual(before);
  });

  it('or not found', async () => {
    const reply = await operator.call('PATCH', '/v1/consumers/nobody', { body: { disabled: true } });
    expect(reply).toMatchObject({ status: 404, json: { code: 'not-found' } });
  });
});

describe('a consumer is removed', () => {
  it('with its keys, which are known no more', async () => {
    const gone = await api.register('gone', 'orders');
    expect((await gone.get('/v1/whoami')).status).toBe(200);
    const reply = await operator.call('DELETE', '/v1/consumers/gone');
    expect(reply).toMatchObject({ status: 204, json: undefined });
    expect(api.gateway.store.consumers.find('gone')).toBeUndefined();
    expect(api.gateway.store.consumers.findKey(gone.key.keyid)).toBeUndefined();
    await expect(gone.get('/v1/whoami')).rejects.toThrow("can't be trusted");
    expect((await operator.call('DELETE', '/v1/consumers/gone')).status).toBe(404);
  });

  it('never by a call with a body', async () => {
    const reply = await operator.call('DELETE', '/v1/consumers/ops', { body: { sure: true } });
    expect(pathsOf(reply)).toEqual(['']);
    expect(api.gateway.store.consumers.find('ops')).toBeDefined();
  });
});

describe('consumers are listed', () => {
  it('by pages, each once, in the order of names', async () => {
    const seen: string[] = [];
    let target = '/v1/consumers?limit=2';
    for (let page = 0; page < 50; page++) {
      const { json } = await operator.get(target);
      expect(json.items.length).toBeLessThanOrEqual(2);
      seen.push(...json.items.map(({ name }) => name));
      if (json.next === null) break;
      target = `/v1/consumers?limit=2&cursor=${json.next}`;
    }
    expect(seen).toEqual(api.gateway.store.consumers.list().map(({ name }) => name));
  });

  it.each([
    ['limit=0', ['limit']],
    ['limit=101', ['limit']],
    ['limit=1.5', ['limit']],
    ['limit=', ['limit']],
    ['limit=05', ['limit']],
    ['limit=2&limit=3', ['limit']],
    ['cursor=nonsense', ['cursor']],
    ['cursor=', ['cursor']],
    [`cursor=${Buffer.from('["usage","a"]').toString('base64url')}`, ['cursor']],
    ['page=2&size=3', ['page', 'size']],
    ['__proto__=1', ['__proto__']],
  ])('never with ?%s', async (query, paths) => {
    expect(pathsOf(await operator.get(`/v1/consumers?${query}`))).toEqual(paths);
  });
});

describe('who may', () => {
  it.each([
    ['operator:consumers:read', 200, 403],
    ['operator:consumers', 200, 201],
    ['operator:keys', 403, 403],
    ['orders', 403, 403],
    ['operatorx', 403, 403],
  ])('%s: reading gets %i, registering %i', async (role, reading, registering) => {
    const name = role.replaceAll(':', '-');
    const caller = await api.register(`as-${name}`, role);
    expect((await caller.get('/v1/consumers')).status).toBe(reading);
    expect((await caller.post('/v1/consumers', { name: `by-${name}` })).status).toBe(registering);
  });

  it('nobody without a signature', async () => {
    const reply = await fetch(`${api.gateway.url}/v1/consumers`);
    expect(reply.status).toBe(401);
  });

  it('nobody hands out, or changes, more of operator than they hold', async () => {
    const clerk = await api.register('clerk', 'operator:consumers');
    await api.register('chief', 'operator');
    const refused = [
      await clerk.post('/v1/consumers', { name: 'puppet', roles: ['operator'] }),
      await clerk.post('/v1/consumers', { name: 'puppet', roles: ['orders', 'operator:keys'] }),
      await clerk.call('PATCH', '/v1/consumers/clerk', { body: { roles: ['operator'] } }),
      await clerk.call('PATCH', '/v1/consumers/chief', { body: { disabled: true } }),
      await clerk.call('DELETE', '/v1/consumers/chief'),
    ];
    for (const reply of refused) expect(reply).toMatchObject({ status: 403, json: { code: 'role-missing' } });
    expect(api.gateway.store.consumers.find('puppet')).toBeUndefined();
    const read = { name: 'reader', roles: ['operator:consumers:read'] };
    expect((await clerk.post('/v1/consumers', read)).status).toBe(201);
  });

  it('an operator in the roles that the call is narrowed to, and no others', async () => {
    const headers = [['Countersign-Narrow', 'operator:consumers:read']] as const;
    expect((await operator.get('/v1/consumers', { headers })).status).toBe(200);
    expect((await operator.post('/v1/consumers', { name: 'narrow' }, headers)).status).toBe(403);
  });
});

describe('the path', () => {
  it('names the methods that it answers', async () => {
    const reply = await operator.call('DELETE', '/v1/consumers');
    expect(reply).toMatchObject({ status: 405, json: { code: 'method-not-allowed' } });
    expect(reply.headers.get('allow')).toBe('GET, HEAD, POST');
    expect((await operator.post('/v1/consumers/ops', {})).headers.get('allow')).toBe(
      'DELETE, GET, HEAD, PATCH',
    );
  });

  it.each(['/v1/Consumers', '/v1/consumers/', '/v1/consumers/a/b', '/v1/consumers/ops/'])(
    'is exact: %s leads nowhere',
    async (path) => {
      expect([400, 404]).toContain((await operator.get(path)).status);
    },
  );
});
