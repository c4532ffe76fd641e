/** What becomes of changes that are sent again, and of callers who may not make them any more. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { problem, send, sign } from '../wire.ts';
import { type Api, type Caller, recorded, startApi } from './api.ts';

let api: Api;
let operator: Caller;

beforeAll(async () => {
  api = await startApi();
  operator = await api.register('ops', 'operator');
});
afterAll(() => api.close());

const changes = (action: string) => recorded(api).filter((row) => row.startsWith(`${action} `)).length;
const versionOf = (name: string) => api.gateway.store.consumers.find(name)?.version;

describe('the same signed change', () => {
  it('changes nothing again, and gets its first result, signed afresh', async () => {
    await api.register('twice', 'orders');
    const request = operator.sign('PATCH', '/v1/consumers/twice', { body: { roles: ['reports'] } });
    const first = await operator.send(request);
    const before = changes('consumer.change');
    api.gateway.clock.advance(5);
    const again = await operator.send(request);
    expect(first.headers.get('idempotent-replayed')).toBeUndefined();
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(again).toMatchObject({ status: 200, json: first.json });
    expect(again.headers.get('etag')).toBe(first.headers.get('etag'));
    expect(again.headers.get('signature')).not.toBe(first.headers.get('signature'));
    expect(versionOf('twice')).toBe(2);
    expect(changes('consumer.change')).toBe(before);
  });

  it('gets its first result also after others changed it', async () => {
    await api.register('later', 'orders');
    const request = operator.sign('PATCH', '/v1/consumers/later', { body: { roles: ['a'] } });
    await operator.send(request);
    await operator.call('PATCH', '/v1/consumers/later', { body: { roles: ['b'] } });
    expect((await operator.send(request)).json.roles).toEqual(['a']);
    expect(api.gateway.store.consumers.find('later')?.roles).toEqual(['b']);
  });

  it('of which a hundred arrive at once, takes effect once', async () => {
    await api.register('many', 'orders');
    const request = operator.sign('PATCH', '/v1/consumers/many', { body: { roles: ['reports'] } });
    const replies = await Promise.all(Array.from({ length: 100 }, () => operator.send(request)));
    expect(replies.every(({ status }) => status === 200)).toBe(true);
    expect(replies.filter(({ headers }) => !headers.get('idempotent-replayed'))).toHaveLength(1);
    expect(versionOf('many')).toBe(2);
  });

  it('that was answered with 204 gets that', async () => {
    await api.register('removed');
    const request = operator.sign('DELETE', '/v1/consumers/removed');
    expect((await operator.send(request)).status).toBe(204);
    const again = await operator.send(request);
    expect(again.status).toBe(204);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
  });

  it.each<[string, string, string, unknown]>([
    ['not found', 'PATCH', '/v1/consumers/nobody', { roles: [] }],
    ['not allowed', 'PATCH', '/v1/consumers/ops', { roles: ['X'] }],
    ['malformed', 'PATCH', '/v1/consumers/ops', '{"roles":'],
    ['on a condition that failed', 'DELETE', '/v1/consumers/ops', undefined],
  ])('that was refused as %s has used its nonce up', async (_what, method, path, body) => {
    const headers = method === 'DELETE' ? [['If-Match', '"0"'] as const] : [];
    const request = operator.sign(method, path, { body, headers });
    expect((await operator.send(request)).json.code).not.toBe('nonce-replayed');
    expect(await operator.send(request)).toMatchObject({ status: 401, json: { code: 'nonce-replayed' } });
  });

  it('under a used nonce is another change, and refused', async () => {
    await api.register('other', 'orders');
    const nonce = 'a-nonce-that-is-used-twice';
    const draft = { method: 'PATCH', target: '/v1/consumers/other', nonce };
    const first = sign(api.gateway, operator.key, { ...draft, body: '{"roles":["a"]}' });
    const second = sign(api.gateway, operator.key, { ...draft, body: '{"roles":["b"]}' });
    expect((await operator.send(first)).status).toBe(200);
    expect(await operator.send(second)).toMatchObject({ status: 401, json: { code: 'nonce-replayed' } });
    expect(api.gateway.store.consumers.find('other')?.roles).toEqual(['a']);
  });
});

describe('a change that issues a secret', () => {
  it('is answered once: captured bytes get nothing', async () => {
    const before = changes('consumer.add');
    const request = operator.sign('POST', '/v1/consumers', { body: { name: 'secretive' } });
    expect((await operator.send(request)).status).toBe(201);
    expect(await operator.send(request)).toMatchObject({ status: 401, json: { code: 'nonce-replayed' } });
    expect(changes('consumer.add')).toBe(before + 1);
  });

  it('under an Idempotency-Key gives the same secret to a retry that is signed afresh', async () => {
    const options = { body: { name: 'patient' }, headers: [['Idempotency-Key', '"k-1"']] as const };
    const first = await operator.call('POST', '/v1/consumers', options);
    api.gateway.clock.advance(3600);
    const again = await operator.call('POST', '/v1/consumers', options);
    expect(again).toMatchObject({ status: 201, json: first.json });
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(again.headers.get('location')).toBe('/v1/consumers/patient');
    expect((await operator.with(again.json).get('/v1/whoami')).status).toBe(200);
    expect(await operator.send(first.request)).toMatchObject({ status: 401 });
  });

  it('also where what it asked for lies in the past by then', async () => {
    await api.register('brief');
    const notAfter = new Date(api.gateway.clock.now() + 1_000_000).toISOString();
    const options = { body: { notAfter }, headers: [['Idempotency-Key', '"k-2"']] as const };
    const first = await operator.call('POST', '/v1/consumers/brief/keys', options);
    api.gateway.clock.advance(1001);
    expect(await operator.call('POST', '/v1/consumers/brief/keys', options)).toMatchObject({
      status: 201,
      json: first.json,
    });
  });

  it('never gives it to another consumer, or for another request', async () => {
    const headers = [['Idempotency-Key', '"k-3"']] as const;
    const first = await operator.post('/v1/consumers', { name: 'mine' }, headers);
    const other = await operator.post('/v1/consumers', { name: 'yours' }, headers);
    expect(other).toMatchObject({ status: 422, json: { code: 'idempotency-mismatch' } });
    const rival = await api.register('rival', 'operator');
    const theirs = await rival.post('/v1/consumers', { name: 'mine' }, headers);
    expect(theirs).toMatchObject({ status: 409, json: { code: 'conflict' } });
    expect(first.status).toBe(201);
  });

  it.each(['k', '""', '"a", "b"', `"${'k'.repeat(256)}"`])('never under the key %s', async (key) => {
    const reply = await operator.post('/v1/consumers', { name: 'bad-key' }, [['Idempotency-Key', key]]);
    expect(reply).toMatchObject({ status: 400, json: { code: 'idempotency-key-invalid' } });
    expect(api.gateway.store.consumers.find('bad-key')).toBeUndefined();
  });

  it('leaves no secret in clear in the database', async () => {
    const headers = [['Idempotency-Key', '"k-4"']] as const;
    const { json } = await operator.post('/v1/consumers', { name: 'sealed' }, headers);
    const folder = join(api.gateway.folder, 'data');
    const files = readdirSync(folder).filter((file) => file.startsWith('countersign.db'));
    expect(files).toContain('countersign.db');
    for (const file of files) {
      const content = readFileSync(join(folder, file));
      expect(content.includes(json.secret)).toBe(false);
      expect(content.includes(Buffer.from(json.secret, 'base64'))).toBe(false);
    }
  });
});

describe('a secret', () => {
  it('goes to this machine or over TLS alone', async () => {
    const remote = await startApi({ settings: { origins: ['http://api.test'] } });
    try {
      const chief = await remote.register('ops', 'operator');
      const body = '{"name":"plain"}';
      const request = sign(remote.gateway, chief.key, { target: '/v1/consumers', host: 'api.test', body });
      expect(await chief.send(request)).toMatchObject({ status: 403, json: { code: 'key-forbidden' } });
      expect(remote.gateway.store.consumers.find('plain')).toBeUndefined();
      const harmless = { method: 'PATCH', target: '/v1/consumers/ops', body: '{"disabled":false}' };
      const allowed = sign(remote.gateway, chief.key, { ...harmless, host: 'api.test' });
      expect((await chief.send(allowed)).status).toBe(200);
    } finally {
      await remote.close();
    }
  });

  it('is not given to another who was given the name of one that was removed', async () => {
    const request = {
      target: '/v1/consumers',
      body: '{"name":"inherited"}',
      headers: [['Idempotency-Key', '"mine"']] as const,
    };
    const former = await api.register('temp', 'operator');
    expect((await former.send(sign(api.gateway, former.key, request))).status).toBe(201);
    expect((await operator.call('DELETE', '/v1/consumers/temp')).status).toBe(204);
    const latter = await api.register('temp', 'operator');
    expect((await latter.send(sign(api.gateway, latter.key, request))).json.code).toBe('conflict');
    expect((await latter.get('/v1/operations/mine')).status).toBe(404);
  });

  it('does not go to the admin port in clear', async () => {
    const remote = await startApi({ settings: { origins: ['http://api.test'], adminPort: 0 } });
    try {
      const chief = await remote.register('ops', 'operator');
      const admin = { port: remote.gateway.adminPort as number, clock: remote.gateway.clock };
      const body = '{"name":"plain"}';
      const request = sign(remote.gateway, chief.key, { target: '/v1/consumers', host: 'api.test', body });
      const answer = await send(admin, request);
      expect([answer.status, problem(answer).code]).toEqual([403, 'key-forbidden']);
      expect(remote.gateway.store.consumers.find('plain')).toBeUndefined();
    } finally {
      await remote.close();
    }
  });
});

describe('a caller who may not do it any more', () => {
  it('gets no earlier result: its role is asked for again', async () => {
    const chief = await api.register('chief', 'operator');
    await api.register('target', 'orders');
    const request = chief.sign('PATCH', '/v1/consumers/target', { body: { roles: ['a'] } });
    expect((await chief.send(request)).status).toBe(200);
    await operator.call('PATCH', '/v1/consumers/chief', { body: { roles: ['orders'] } });
    expect(await chief.send(request)).toMatchObject({ status: 403, json: { code: 'role-missing' } });
  });

  it('nor under an Idempotency-Key', async () => {
    const chief = await api.register('chief-2', 'operator');
    const headers = [['Idempotency-Key', '"k-5"']] as const;
    expect((await chief.post('/v1/consumers', { name: 'kept' }, headers)).status).toBe(201);
    await operator.call('PATCH', '/v1/consumers/chief-2', { body: { roles: [] } });
    expect((await chief.post('/v1/consumers', { name: 'kept' }, headers)).status).toBe(403);
  });

  it('nor with a key that was revoked', async () => {
    const chief = await api.register('chief-3', 'operator');
    const request = chief.sign('PATCH', '/v1/consumers/chief-3', { body: { disabled: false } });
    expect((await chief.send(request)).status).toBe(200);
    await operator.call('DELETE', `/v1/consumers/chief-3/keys/${chief.key.keyid}`);
    expect(await chief.send(request)).toMatchObject({ status: 401, json: { code: 'nonce-replayed' } });
  });
});

describe('a caller who never might', () => {
  it('is told so once', async () => {
    const shop = await api.register('shop', 'orders');
    const request = shop.sign('DELETE', '/v1/consumers/ops');
    expect(await shop.send(request)).toMatchObject({ status: 403, json: { code: 'role-missing' } });
    expect(await shop.send(request)).toMatchObject({ status: 401, json: { code: 'nonce-replayed' } });
    expect(api.gateway.store.consumers.find('ops')).toBeDefined();
  });
});

describe('a reader', () => {
  it('is answered once for a nonce, and keeps no results', async () => {
    const request = operator.sign('GET', '/v1/consumers');
    expect((await operator.send(request)).status).toBe(200);
    expect((await operator.send(request)).json.code).toBe('nonce-replayed');
    const keyed = await operator.get('/v1/consumers', { headers: [['Idempotency-Key', '"k"']] });
    expect(keyed.json.code).toBe('idempotency-key-invalid');
  });

  it('takes no body', async () => {
    const reply = await operator.get('/v1/consumers', { body: { limit: 5 } });
    expect(reply).toMatchObject({ status: 422, json: { errors: [{ path: '' }] } });
  });
});
