/** What becomes of tokens after the login: refreshing, logging out, other processes, a restart. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { describe, expect, onTestFinished, test } from 'vitest';
import { EMAIL, idempotencyKey, PASSWORD, type PeopleScene, peopleScene } from './people-scene.ts';

const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };

function sharedFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-people-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const refresh = (scene: PeopleScene, refreshToken: unknown, headers: Record<string, string> = {}) =>
  scene.call({ method: 'POST', path: '/v1/token/refresh', body: { refreshToken }, headers });

const logOut = (scene: PeopleScene, bearer: string, body?: unknown) =>
  scene.call({ method: 'POST', path: '/v1/logout', bearer, body, headers: idempotencyKey() });

async function browserLogin(scene: PeopleScene): Promise<{ cookie: string; csrf: string }> {
  const body = new URLSearchParams({ email: EMAIL, password: PASSWORD }).toString();
  const { headers, json } = await scene.call({ method: 'POST', path: '/v1/login', headers: FORM, body });
  return { cookie: headers['set-cookie']?.[0]?.split(';', 1)[0] ?? '', csrf: json.csrf };
}

describe('a refresh', () => {
  test('yields new tokens once; a second use ends the login, its access tokens too', async () => {
    const scene = await peopleScene();
    await scene.addAccount(EMAIL);
    const { json: first } = await scene.logIn();
    const { status, json: second } = await refresh(scene, first.refreshToken);
    expect(status).toBe(200);
    expect((await scene.whoami(second.accessToken)).status).toBe(200);
    const replayed = await refresh(scene, first.refreshToken);
    expect([replayed.status, replayed.json.code]).toEqual([401, 'token-invalid']);
    expect((await refresh(scene, second.refreshToken)).status).toBe(401);
    expect((await scene.whoami(second.accessToken)).status).toBe(401);
  });

  test('under an Idempotency-Key gets the same answer again for 30 seconds, and not longer', async () => {
    const scene = await peopleScene();
    await scene.addAccount(EMAIL);
    const { json: first } = await scene.logIn();
    const headers = idempotencyKey();
    const { json: second } = await refresh(scene, first.refreshToken, headers);
    expect((await refresh(scene, first.refreshToken, headers)).json).toEqual(second);
    scene.gateway.clock.advance(31);
    expect((await refresh(scene, first.refreshToken, headers)).status).toBe(401);
    expect((await refresh(scene, second.refreshToken)).status).toBe(401);
  });

  test.each([
    ['an access token', async (scene: PeopleScene) => (await scene.logIn()).json.accessToken, [401, 422]],
    ['nothing', async () => undefined, [422]],
    ['a number', async () => 5, [422]],
    ['SQL', async () => "' OR 1=1; --", [401]],
    ['an over-long one', async () => 'A'.repeat(10_000), [422]],
  ])('by %s is refused', async (_, token, statuses) => {
    const scene = await peopleScene();
    await scene.addAccount(EMAIL);
    expect(statuses).toContain((await refresh(scene, await token(scene))).status);
  });
});

describe('logging out', () => {
  test('ends the tokens of this login at once, and no others', async () => {
    const scene = await peopleScene();
    await scene.addAccount(EMAIL);
    const [{ json: one }, { json: other }] = [await scene.logIn(), await scene.logIn()];
    expect((await logOut(scene, one.accessToken)).status).toBe(204);
    expect((await scene.whoami(one.accessToken)).status).toBe(401);
    expect((await refresh(scene, one.refreshToken)).status).toBe(401);
    expect((await scene.whoami(other.accessToken)).status).toBe(200);
    expect((await refresh(scene, other.refreshToken)).status).toBe(200);
  });

  test('everywhere ends every token and session of the account at once, in every process', async () => {
    const folder = sharedFolder();
    const scene = await peopleScene({ folder });
    const beside = await peopleScene({ folder, clock: scene.gateway.clock });
    const { id } = await scene.addAccount(EMAIL);
    await scene.addAccount('bob@example.org');
    const { json: one } = await scene.logIn();
    const { json: other } = await beside.logIn();
    const { cookie } = await browserLogin(beside);
    const { json: bob } = await scene.logIn({ email: 'bob@example.org' });
    const bySession = () => beside.call({ path: '/v1/whoami', headers: { Cookie: cookie } });
    for (const each of [scene, beside]) {
      expect((await each.whoami(one.accessToken)).status).toBe(200);
      expect((await each.whoami(other.accessToken)).status).toBe(200);
    }
    expect((await bySession()).status).toBe(200);

    expect((await logOut(scene, one.accessToken, { everywhere: true })).status).toBe(204);
    for (const each of [beside, scene]) {
      expect((await each.whoami(one.accessToken)).json.code).toBe('token-invalid');
      expect((await each.whoami(other.accessToken)).json.code).toBe('token-invalid');
      expect((await refresh(each, other.refreshToken)).status).toBe(401);
      expect((await each.whoami(bob.accessToken)).status).toBe(200);
    }
    expect((await bySession()).status).toBe(401);
    expect((await beside.logIn()).status).toBe(200);
    const rows = [...scene.gateway.store.audit.rows()];
    expect(rows.filter(({ action }) => action === 'own-account.logout')).toMatchObject([
      { actor: id, subject: id, detail: '{"everywhere":true}' },
    ]);
  });

  test('by a browser needs its page, and ends its session', async () => {
    const scene = await peopleScene();
    await scene.addAccount(EMAIL);
    const { cookie, csrf } = await browserLogin(scene);
    const leave = (headers: Record<string, string>) =>
      scene.call({
        method: 'POST',
        path: '/v1/logout',
        headers: { Cookie: cookie, ...idempotencyKey(), ...headers },
      });
    const page = { Origin: 'http://localhost', 'Countersign-Csrf': csrf };
    expect((await leave({})).json.code).toBe('csrf');
    expect((await leave({ Origin: 'http://localhost' })).json.code).toBe('csrf');
    expect((await leave({ ...page, Origin: 'https://evil.example' })).json.code).toBe('csrf');
    expect((await scene.call({ path: '/v1/whoami', headers: { Cookie: cookie } })).status).toBe(200);
    const left = await leave(page);
    expect(left.status).toBe(204);
    expect(left.headers['set-cookie']?.[0]).toContain('Max-Age=0');
    expect((await scene.call({ path: '/v1/whoami', headers: { Cookie: cookie } })).status).toBe(401);
  });

  test('asks for an Idempotency-Key, as every change without a signature does', async () => {
    const scene = await peopleScene();
    await scene.addAccount(EMAIL);
    const { json } = await scene.logIn();
    const bare = await scene.call({ method: 'POST', path: '/v1/logout', bearer: json.accessToken });
    expect(bare.json.code).toBe('idempotency-key-missing');
    expect((await scene.whoami(json.accessToken)).status).toBe(200);
  });
});

test('tokens and sessions survive a restart, and end when they should', async () => {
  const folder = sharedFolder();
  const before = await peopleScene({ folder });
  await before.addAccount(EMAIL);
  const { json } = await before.logIn();
  const { cookie } = await browserLogin(before);
  await before.gateway.close();

  const after = await peopleScene({ folder, clock: before.gateway.clock });
  expect((await after.whoami(json.accessToken)).status).toBe(200);
  expect((await after.call({ path: '/v1/whoami', headers: { Cookie: cookie } })).status).toBe(200);
  after.gateway.clock.advance(600 + 30);
  expect((await after.whoami(json.accessToken)).json.detail).toContain('expired');
  const { status, json: next } = await refresh(after, json.refreshToken);
  expect(status).toBe(200);
  after.gateway.clock.advance(30 * 24 * 3600);
  expect((await refresh(after, next.refreshToken)).status).toBe(401);
  expect((await after.call({ path: '/v1/whoami', headers: { Cookie: cookie } })).status).toBe(401);
});

test('anybody can verify a token by the published keys', async () => {
  const scene = await peopleScene();
  const { id } = await scene.addAccount(EMAIL, 'orders');
  const { json } = await scene.logIn();
  const { status, json: keys } = await scene.call({ path: '/.well-known/jwks.json' });
  expect(status).toBe(200);
  expect(JSON.stringify(keys)).not.toContain('"d"');
  const { payload } = await jwtVerify(json.accessToken, createLocalJWKSet(keys as unknown as JSONWebKeySet), {
    issuer: 'http://localhost',
    audience: 'http://localhost',
    typ: 'at+jwt',
    currentDate: new Date(scene.gateway.clock.now()),
  });
  expect(payload).toMatchObject({ sub: id, name: 'Ada Lovelace', roles: ['orders'], gen: 0 });
});
