/** What people do with their own accounts: see, rename, confirm, change and forget the password, have keys. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { capturedLog } from '../captured-log.ts';
import { send as sendSigned, sign } from '../wire.ts';
import { EMAIL, idempotencyKey, PASSWORD, type PeopleScene, peopleScene } from './people-scene.ts';

const ANOTHER = 'another long password';

/** What was mailed to somebody, the newest last. */
async function mailOf({ gateway }: PeopleScene, owner: string, count = 1): Promise<string[]> {
  const folder = join(gateway.folder, 'data', 'mail', owner);
  const list = () => {
    try {
      return readdirSync(folder).filter((name) => name.endsWith('.eml'));
    } catch {
      return [];
    }
  };
  await expect.poll(() => list().length).toBeGreaterThanOrEqual(count);
  return list().map((name) => readFileSync(join(folder, name), 'utf8'));
}

const ticketIn = (mail: string) => /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/m.exec(mail)?.[0] ?? '';

async function ticketOf(scene: PeopleScene, owner: string, subject: string): Promise<string> {
  const find = async () => (await mailOf(scene, owner)).find((mail) => mail.includes(`Subject: ${subject}`));
  await expect.poll(find).toBeDefined();
  return ticketIn((await find()) as string);
}

async function person() {
  const scene = await peopleScene();
  const account = await scene.addAccount(EMAIL);
  const bearer = async (password = PASSWORD) => (await scene.logIn({ password })).json.accessToken;
  const post = (path: string, body?: unknown, token?: string) =>
    scene.call({
      method: 'POST',
      path,
      headers: idempotencyKey(),
      ...(body !== undefined && { body }),
      ...(token !== undefined && { bearer: token }),
    });
  return { scene, account, bearer, post };
}

describe('GET /v1/account', () => {
  test('C10: tells all that is kept about the caller', async () => {
    const { scene, account, bearer } = await person();
    const token = await bearer();
    const { status, json, headers } = await scene.call({ path: '/v1/account', bearer: token });
    expect(status).toBe(200);
    expect(headers.etag).toMatch(/^"1-[0-9a-f]{8}"$/);
    expect(json).toMatchObject({
      id: account.id,
      firstName: 'Ada',
      lastName: 'Lovelace',
      email: EMAIL,
      emailConfirmedAt: null,
      secondFactor: { state: 'none', recoveryCodesLeft: 0 },
      keys: [],
      sessions: [],
      refreshTokens: [{ usedAt: null, roles: null }],
      mail: [],
    });
    expect(json.audit).toEqual([expect.objectContaining({ action: 'account.login' })]);
    expect(JSON.stringify(json)).not.toContain('argon2');
  });

  test('C3a: asked with an address that is none is 422, and with another than one’s own 404', async () => {
    const { scene, bearer } = await person();
    const token = await bearer();
    const ask = (email: string) =>
      scene.call({ path: `/v1/account?email=${encodeURIComponent(email)}`, bearer: token });
    const bad = await ask('ada.example.org');
    expect(bad.status).toBe(422);
    expect(bad.json).toMatchObject({ code: 'validation-failed', errors: [{ path: 'email' }] });
    expect((await ask('eve@example.org')).status).toBe(404);
    expect((await ask(EMAIL.toUpperCase())).status).toBe(200);
  });

  test('is nothing for those who don’t say who they are, nor for services', async () => {
    const { scene } = await person();
    expect((await scene.call({ path: '/v1/account' })).status).toBe(401);
    const key = await scene.gateway.addConsumer('shop', 'operator');
    const signed = sign(scene.gateway, key, { method: 'GET', target: '/v1/account', host: 'localhost' });
    expect((await sendSigned(scene.gateway, signed)).status).toBe(403);
  });
});

describe('PATCH /v1/account', () => {
  test.each([
    ["Robert'); DROP TABLE accounts;--", '<script>alert(1)</script>'],
    ['李', '\u{1F600} Ünïcode'],
  ])('C5a, C5b: %s is the text that it is', async (firstName, lastName) => {
    const { scene, bearer } = await person();
    const token = await bearer();
    const patch = { method: 'PATCH', path: '/v1/account', bearer: token, headers: idempotencyKey() };
    const changed = await scene.call({ ...patch, body: { firstName, lastName } });
    expect(changed.status).toBe(200);
    expect(changed.json).toMatchObject({ firstName, lastName, email: EMAIL });
    const read = await scene.call({ path: '/v1/account', bearer: token });
    expect(read.json).toMatchObject({ firstName, lastName });
    expect((await scene.logIn()).status).toBe(200);
  });

  test('tells every fault, and nothing that was said is kept in the audit record', async () => {
    const { scene, bearer } = await person();
    const patch = { method: 'PATCH', path: '/v1/account', bearer: await bearer() };
    for (const body of [
      {},
      { firstName: '' },
      { lastName: 'a\u0000b' },
      { firstName: 'x'.repeat(101) },
      { id: 'x' },
    ]) {
      const { status, json } = await scene.call({ ...patch, headers: idempotencyKey(), body });
      expect(status).toBe(422);
      expect(json.code).toBe('validation-failed');
    }
    await scene.call({ ...patch, headers: idempotencyKey(), body: { firstName: 'Unheard' } });
    const rows = [...scene.gateway.store.audit.rows()];
    expect(rows.at(-1)).toMatchObject({ action: 'own-account.change', detail: '{"changed":["firstName"]}' });
    expect(JSON.stringify(rows)).not.toContain('Unheard');
  });

  test('needs an Idempotency-Key, and happens once under it', async () => {
    const { scene, bearer } = await person();
    const patch = {
      method: 'PATCH',
      path: '/v1/account',
      bearer: await bearer(),
      body: { firstName: 'Eve' },
    };
    expect((await scene.call(patch)).json.code).toBe('idempotency-key-missing');
    const headers = idempotencyKey();
    const first = await scene.call({ ...patch, headers });
    const again = await scene.call({ ...patch, headers });
    expect(again.headers['idempotent-replayed']).toBe('true');
    expect(again.headers.etag).toBe(first.headers.etag);
  });
});

describe('a password', () => {
  test('is changed by whoever knows it, and ends every token and session', async () => {
    const { scene, bearer, post } = await person();
    const [token, other] = [await bearer(), (await scene.logIn()).json];
    const change = { password: PASSWORD, newPassword: ANOTHER };
    expect((await post('/v1/account/password', change, token)).status).toBe(204);
    expect((await scene.whoami(token)).status).toBe(401);
    expect((await scene.whoami(other.accessToken)).status).toBe(401);
    const refresh = { refreshToken: other.refreshToken };
    expect((await post('/v1/token/refresh', refresh)).status).toBe(401);
    expect((await scene.logIn()).status).toBe(401);
    expect((await scene.logIn({ password: ANOTHER })).status).toBe(200);
  });

  test('is not changed by whoever doesn’t, nor into a common one', async () => {
    const { scene, bearer, post } = await person();
    const token = await bearer();
    const refused = await post('/v1/account/password', { password: 'wrong', newPassword: ANOTHER }, token);
    expect(refused.status).toBe(401);
    expect(refused.json.code).toBe('login-failed');
    const common = { password: PASSWORD, newPassword: 'football' };
    const own = { password: PASSWORD, newPassword: EMAIL };
    for (const change of [common, own]) {
      expect((await post('/v1/account/password', change, token)).status).toBe(422);
    }
    expect((await scene.whoami(token)).status).toBe(200);
    expect((await scene.logIn()).status).toBe(200);
  });

  test('A4: that was forgotten is set anew by the ticket in a mail, once, and every token ends', async () => {
    const { scene, account, bearer, post } = await person();
    const token = await bearer();
    expect((await post('/v1/password/forgot', { email: EMAIL })).status).toBe(202);
    const ticket = await ticketOf(scene, account.id, 'Set a new password');
    const reset = { ticket, password: ANOTHER };
    expect((await post('/v1/password/reset', { ticket, password: 'football' })).status).toBe(422);
    expect((await post('/v1/account/email/confirm', { ticket })).status).toBe(401);
    expect((await post('/v1/password/reset', reset)).status).toBe(204);
    const again = await post('/v1/password/reset', reset);
    expect(again.status).toBe(401);
    expect(again.json.code).toBe('token-invalid');
    expect((await scene.whoami(token)).status).toBe(401);
    expect((await scene.logIn()).status).toBe(401);
    expect((await scene.logIn({ password: ANOTHER })).status).toBe(200);
    await expect
      .poll(async () => (await mailOf(scene, account.id)).join())
      .toContain('Subject: Your password was changed');
  });

  test('that is set anew twice under one Idempotency-Key is answered twice', async () => {
    const { scene, account, post } = await person();
    await post('/v1/password/forgot', { email: EMAIL });
    const ticket = await ticketOf(scene, account.id, 'Set a new password');
    const call = {
      method: 'POST',
      path: '/v1/password/reset',
      headers: idempotencyKey(),
      body: { ticket, password: ANOTHER },
    };
    expect((await scene.call(call)).status).toBe(204);
    const again = await scene.call(call);
    expect([again.status, again.headers['idempotent-replayed']]).toEqual([204, 'true']);
  });

  test('that is set anew never removes a second factor', async () => {
    const { scene, account, post } = await person();
    const enrolment = await scene.enrol(account);
    await post('/v1/password/forgot', { email: EMAIL });
    const ticket = await ticketOf(scene, account.id, 'Set a new password');
    expect((await post('/v1/password/reset', { ticket, password: ANOTHER })).status).toBe(204);
    expect((await scene.logIn({ password: ANOTHER })).status).toBe(401);
    expect((await scene.logIn({ password: ANOTHER, totp: scene.code(enrolment) })).status).toBe(200);
  });

  test('a ticket from before the password was changed is not good any more', async () => {
    const { scene, account, bearer, post } = await person();
    await post('/v1/password/forgot', { email: EMAIL });
    const ticket = await ticketOf(scene, account.id, 'Set a new password');
    await post('/v1/account/password', { password: PASSWORD, newPassword: ANOTHER }, await bearer());
    const late = await post('/v1/password/reset', { ticket, password: 'a third long password' });
    expect(late.json.code).toBe('token-invalid');
  });

  test('a ticket ends by the clock', async () => {
    const { scene, account, post } = await person();
    await post('/v1/password/forgot', { email: EMAIL });
    const ticket = await ticketOf(scene, account.id, 'Set a new password');
    scene.gateway.clock.advance(3600);
    const late = await post('/v1/password/reset', { ticket, password: ANOTHER });
    expect([late.status, late.json.code]).toEqual([401, 'token-invalid']);
  });

  test('that a stranger says he forgot is answered as one that somebody has', async () => {
    const { scene, post } = await person();
    const known = await post('/v1/password/forgot', { email: EMAIL });
    const unknown = await post('/v1/password/forgot', { email: 'nobody@example.org' });
    expect([known.text, known.headers['content-type']]).toEqual(['', undefined]);
    const { 'countersign-request-id': _, date: __, ...one } = known.headers;
    const { 'countersign-request-id': ___, date: ____, ...other } = unknown.headers;
    expect([unknown.status, unknown.text, other]).toEqual([known.status, known.text, one]);
    const rows = [...scene.gateway.store.audit.rows()].filter(({ action }) => action === 'password.forget');
    expect(rows).toHaveLength(2);
    expect((await post('/v1/password/forgot', { email: 'nobody' })).status).toBe(422);
  });

  test('fills nobody’s mailbox: five mails an hour, and the sixth call is answered all the same', async () => {
    const { scene, account, post } = await person();
    for (let i = 0; i < 7; i++) {
      expect((await post('/v1/password/forgot', { email: EMAIL })).status).toBe(202);
    }
    await mailOf(scene, account.id, 5);
    const queued = () => scene.gateway.store.outbox.topics();
    await expect.poll(queued).toEqual([]);
    expect(await mailOf(scene, account.id)).toHaveLength(5);
  });

  test('one address may ask twenty times an hour', async () => {
    const { post } = await person();
    const ask = (i: number) => post('/v1/password/forgot', { email: `nobody-${i}@example.org` });
    for (let i = 0; i < 20; i++) expect((await ask(i)).status).toBe(202);
    const refused = await ask(20);
    expect([refused.status, refused.json.code]).toEqual([429, 'rate-limited']);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  });
});

describe('an e-mail address', () => {
  test('A4: is confirmed by the ticket that was sent to it, once', async () => {
    const { scene, account, bearer, post } = await person();
    const token = await bearer();
    expect((await post('/v1/account/email', undefined, token)).status).toBe(202);
    const ticket = await ticketOf(scene, account.id, 'Confirm your address');
    expect((await post('/v1/password/reset', { ticket, password: ANOTHER })).status).toBe(401);
    expect((await post('/v1/account/email/confirm', { ticket })).status).toBe(204);
    expect((await post('/v1/account/email/confirm', { ticket })).status).toBe(401);
    const { json } = await scene.call({ path: '/v1/account', bearer: token });
    expect(json.emailConfirmedAt).toEqual(expect.any(String));
    expect((await post('/v1/account/email', undefined, token)).status).toBe(409);
  });

  test.each(['', 'x', 'eyJhbGciOiJub25lIn0.e30.', 'a.b.c'])('isn’t confirmed by %j', async (ticket) => {
    const { post } = await person();
    const { status } = await post('/v1/account/email/confirm', { ticket });
    expect(status).toBe(ticket === '' ? 422 : 401);
  });

  test('isn’t confirmed by an access token, which is no ticket', async () => {
    const { scene, bearer, post } = await person();
    const token = await bearer();
    expect((await post('/v1/account/email/confirm', { ticket: token })).status).toBe(401);
    expect((await post('/v1/password/reset', { ticket: token, password: ANOTHER })).status).toBe(401);
    await post('/v1/password/forgot', { email: EMAIL });
    const { id } = (await scene.gateway.store.accounts.findByEmail(EMAIL)) as { id: string };
    const ticket = await ticketOf(scene, id, 'Set a new password');
    expect((await scene.whoami(ticket)).status).toBe(401);
  });
});

test('the log names messages by id and kind, and nobody', async () => {
  const log = capturedLog();
  const scene = await peopleScene({ logger: log.logger });
  const { id } = await scene.addAccount(EMAIL);
  await scene.call({ method: 'POST', path: '/v1/password/forgot', body: { email: EMAIL } });
  await mailOf(scene, id);
  await log.until('mail', 1);
  const sent = log.lines.find(({ msg }) => msg === 'mail');
  expect(sent).toMatchObject({ kind: 'reset-password', outcome: 'sent', message: expect.any(String) });
  // Words and tickets whole: ids are random, and may hold three letters of anything.
  expect(log.text()).not.toMatch(/(?<![\w+/=-])ada(?![\w+/=-])|lovelace/i);
  expect(log.text()).not.toMatch(/eyJ[\w-]{20,}\.[\w-]{20,}/);
});
