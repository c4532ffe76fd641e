/** Enrolling a second factor over the wire, and what it asks for. */
import { describe, expect, test } from 'vitest';
import { send, sign } from '../wire.ts';
import { EMAIL, idempotencyKey, PASSWORD, type PeopleScene, peopleScene } from './people-scene.ts';

type Headers = Record<string, string>;

const enrolCall = (scene: PeopleScene, bearer: string, body: unknown, headers: Headers = idempotencyKey()) =>
  scene.call({ method: 'POST', path: '/v1/account/totp', bearer, body, headers });

const confirmCall = (
  scene: PeopleScene,
  bearer: string,
  totp: unknown,
  headers: Headers = idempotencyKey(),
) => scene.call({ method: 'POST', path: '/v1/account/totp/confirm', bearer, body: { totp }, headers });

async function loggedIn() {
  const scene = await peopleScene();
  const account = await scene.addAccount(EMAIL);
  const { json } = await scene.logIn();
  return { scene, account, bearer: json.accessToken };
}

describe('enrolling', () => {
  test('answers uri, picture and recovery codes, and asks for nothing before it is confirmed', async () => {
    const { scene, bearer } = await loggedIn();
    const { status, json } = await enrolCall(scene, bearer, { password: PASSWORD });
    expect(status).toBe(201);
    expect(json.uri).toMatch(/^otpauth:\/\/totp\/Countersign:ada%40example\.org\?secret=[A-Z2-7]{32}&/);
    expect(json.svg).toContain('<svg');
    expect(json.recoveryCodes).toHaveLength(10);
    expect((await scene.logIn()).status).toBe(200);

    const totp = scene.code(json);
    expect((await confirmCall(scene, bearer, totp)).status).toBe(200);
    expect((await scene.logIn()).status).toBe(401);
    // Confirming has used the code up.
    expect((await scene.logIn({ totp })).status).toBe(401);
    scene.gateway.clock.advance(30);
    expect((await scene.logIn({ totp: scene.code(json) })).status).toBe(200);
    expect((await scene.logIn({ totp: json.recoveryCodes[0] })).status).toBe(200);
    expect((await scene.logIn({ totp: json.recoveryCodes[0] })).status).toBe(401);
  });

  test('asks for the password again: a token alone changes nothing', async () => {
    const { scene, bearer } = await loggedIn();
    const { json, headers } = await enrolCall(scene, bearer, { password: 'wrong' });
    expect(json.code).toBe('login-failed');
    // With Basic in it a browser would ask for the password in a dialogue of its own, in front of the page.
    expect(headers['www-authenticate']).toBe('Bearer realm="countersign"');
    expect((await enrolCall(scene, bearer, {})).json.code).toBe('validation-failed');
    const basic = [EMAIL, PASSWORD] as const;
    const call = { method: 'POST', path: '/v1/account/totp', basic, body: { password: PASSWORD } };
    expect((await scene.call({ ...call, headers: idempotencyKey() })).status).toBe(401);
  });

  test('once more asks for a code of the factor that is replaced, which stays good until then', async () => {
    const { scene, account, bearer } = await loggedIn();
    const first = await scene.enrol(account);
    expect((await enrolCall(scene, bearer, { password: PASSWORD })).status).toBe(401);
    const totp = scene.code(first);
    const headers = idempotencyKey();
    const { status, json: second } = await enrolCall(scene, bearer, { password: PASSWORD, totp }, headers);
    expect(status).toBe(201);
    expect((await enrolCall(scene, bearer, { password: PASSWORD, totp })).status).toBe(401);
    // The same call again gets its first answer, though its code is used up.
    const again = await enrolCall(scene, bearer, { password: PASSWORD, totp }, headers);
    expect([again.status, again.headers['idempotent-replayed']]).toEqual([201, 'true']);
    expect(again.json).toEqual(second);

    scene.gateway.clock.advance(30);
    expect((await scene.logIn({ totp: scene.code(first) })).status).toBe(200);
    expect((await confirmCall(scene, bearer, scene.code(second))).status).toBe(200);
    scene.gateway.clock.advance(30);
    expect((await scene.logIn({ totp: scene.code(first) })).status).toBe(401);
    expect((await scene.logIn({ totp: first.recoveryCodes[0] })).status).toBe(401);
    expect((await scene.logIn({ totp: scene.code(second) })).status).toBe(200);
  });

  test('stands in the audit record, and no secret of it anywhere', async () => {
    const { scene, account, bearer } = await loggedIn();
    const { json } = await enrolCall(scene, bearer, { password: PASSWORD });
    await confirmCall(scene, bearer, scene.code(json));
    const rows = [...scene.gateway.store.audit.rows()].filter(({ action }) =>
      action.startsWith('second-factor'),
    );
    expect(rows.map(({ action, actor, subject }) => [action, actor, subject])).toEqual([
      ['second-factor.enrol', account.id, account.id],
      ['second-factor.confirm', account.id, account.id],
    ]);
    expect(JSON.stringify(rows)).not.toContain(new URL(json.uri).searchParams.get('secret'));
  });
});

describe('confirming', () => {
  test('is refused for a wrong code, for anything that is no code, and where nothing awaits one', async () => {
    const { scene, bearer } = await loggedIn();
    expect((await confirmCall(scene, bearer, '123456')).json.code).toBe('conflict');
    const { json } = await enrolCall(scene, bearer, { password: PASSWORD });
    for (const totp of [
      scene.code(json, 300),
      scene.code(json, -60),
      '',
      'abc',
      5,
      null,
      '<b>1</b>',
      "' OR 1",
    ]) {
      const { status, json: refused } = await confirmCall(scene, bearer, totp);
      expect([status, refused.code]).toEqual([422, 'validation-failed']);
    }
    expect((await confirmCall(scene, bearer, scene.code(json))).status).toBe(200);
    expect((await confirmCall(scene, bearer, scene.code(json))).json.code).toBe('conflict');
  });
});

describe('handing over', () => {
  async function operatorAnd(...roles: string[]) {
    const scene = await peopleScene();
    const boss = await scene.addAccount('boss@example.org', 'operator:accounts');
    const enrolment = await scene.enrol(boss, true);
    const { json } = await scene.logIn({ email: 'boss@example.org', totp: scene.code(enrolment) });
    const account = await scene.addAccount(EMAIL, ...roles);
    const post = (path: string) =>
      scene.call({ method: 'POST', path, bearer: json.accessToken, headers: idempotencyKey() });
    const handOver = (id: string) => post(`/v1/accounts/${id}/second-factor`);
    const reset = (id: string) => post(`/v1/accounts/${id}/second-factor/reset`);
    return { scene, boss, account, handOver, reset };
  }

  test('opens a role that asks for a code to somebody who has none, by the first code', async () => {
    const { scene, account, handOver } = await operatorAnd('operator:accounts:read');
    expect((await scene.logIn()).status).toBe(401);
    const { status, json } = await handOver(account.id);
    expect(status).toBe(201);
    expect((await scene.logIn()).status).toBe(401);
    expect((await scene.logIn({ totp: scene.code(json) })).status).toBe(200);
    expect((await scene.logIn({ totp: json.recoveryCodes[0] })).status).toBe(200);
  });

  test('takes the place of what was lost, demands a code at once, and ends what was open', async () => {
    const { scene, account, handOver } = await operatorAnd();
    const lost = await scene.enrol(account);
    const { json: open } = await scene.logIn({ totp: scene.code(lost) });
    const { json } = await handOver(account.id);
    scene.gateway.clock.advance(30);
    expect((await scene.whoami(open.accessToken)).status).toBe(401);
    expect((await scene.logIn()).status).toBe(401);
    expect((await scene.logIn({ totp: scene.code(lost) })).status).toBe(401);
    expect((await scene.logIn({ totp: lost.recoveryCodes[0] })).status).toBe(401);
    expect((await scene.logIn({ totp: scene.code(json) })).status).toBe(200);
  });

  test('is not for oneself, nor for somebody with roles that one lacks, nor for who has no such role', async () => {
    const { scene, boss, account, handOver, reset } = await operatorAnd('operator');
    expect((await handOver(boss.id)).json.code).toBe('conflict');
    expect((await reset(boss.id)).json.code).toBe('conflict');
    expect((await handOver(account.id)).json.code).toBe('role-missing');
    expect((await handOver('0'.repeat(24))).json.code).toBe('not-found');
    await scene.addAccount('bob@example.org', 'orders');
    const { json } = await scene.logIn({ email: 'bob@example.org' });
    const path = `/v1/accounts/${account.id}/second-factor`;
    const call = { method: 'POST', path, bearer: json.accessToken, headers: idempotencyKey() };
    expect((await scene.call(call)).json.code).toBe('role-missing');
  });
});

test('a role that asks for a code, given to somebody who came in by a password, opens nothing before a code', async () => {
  const scene = await peopleScene({ settings: { accounts: { registration: 'open' } } });
  const ada = { firstName: 'Ada', lastName: 'Lovelace', email: EMAIL, password: 'an other fine password' };
  expect((await scene.call({ method: 'POST', path: '/v1/register', body: ada })).status).toBe(201);
  const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
  const body = new URLSearchParams({ email: EMAIL, password: ada.password }).toString();
  const form = await scene.call({ method: 'POST', path: '/v1/login', headers, body });
  const Cookie = form.headers['set-cookie']?.[0]?.split(';', 1)[0] as string;
  const { json } = await scene.logIn({ password: ada.password });
  const { accessToken: bearer, refreshToken } = json;

  const ask = { method: 'POST', path: '/v1/grants', bearer, headers: idempotencyKey() };
  const { json: asked } = await scene.call({ ...ask, body: { role: 'operator:accounts:read' } });
  const boss = await scene.gateway.addConsumer('boss', 'operator');
  const target = `/v1/grants/${asked.id}/decision`;
  const decision = { method: 'POST', target, host: 'localhost', body: '{"decision":"grant"}' };
  expect((await send(scene.gateway, sign(scene.gateway, boss, decision))).status).toBe(200);
  expect((await scene.call({ path: '/v1/accounts', headers: { Cookie } })).status).toBe(401);
  const refresh = { method: 'POST', path: '/v1/token/refresh', body: { refreshToken } };
  expect((await scene.call(refresh)).status).toBe(401);
  expect((await scene.logIn({ password: ada.password })).status).toBe(401);
});
