/** The right to be forgotten: nothing of a person is found afterwards, in no file and in no encoding of it. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { ERASURE_TOPIC } from '../../../src/accounts/erasure.ts';
import { letter } from '../../../src/accounts/letters.ts';
import { Passwords } from '../../../src/accounts/password.ts';
import { drawAccount, drawKey, putAccount } from '../../../src/accounts/registration.ts';
import { Tickets } from '../../../src/accounts/ticket.ts';
import { epochSeconds } from '../../../src/clock.ts';
import { startTestGateway } from '../../../src/testing.ts';
import { capturedLog } from '../captured-log.ts';
import { send as sendSigned, sign } from '../wire.ts';
import { idempotencyKey, PASSWORD, type PeopleScene, peopleScene } from './people-scene.ts';

/** Words that stand nowhere else. */
const EMAIL = 'Quirin.Zwetschgenmus@Postamt-Obernzell.example';
const FIRST = 'Quirinusquax';
const LAST = 'Zwetschgenmüsli';

/** Everything that the person's words may look like in a file. */
function spellings(): Buffer[] {
  const words = [EMAIL, FIRST, LAST, EMAIL.split('@')[0] as string, EMAIL.split('@')[1] as string];
  const cased = words.flatMap((word) => [
    word,
    word.toLowerCase(),
    word.toUpperCase(),
    JSON.stringify(word).slice(1, -1),
  ]);
  return [...new Set(cased)].flatMap((word) => {
    const utf8 = Buffer.from(word);
    const utf16 = Buffer.from(word, 'utf16le');
    // In base64 a text looks in three ways, as it begins at one of three places; its ends depend on their neighbours.
    const base64 = [0, 1, 2].map((shift) =>
      Buffer.concat([Buffer.alloc(shift), utf8])
        .toString('base64')
        .replace(/=+$/, '')
        .slice(shift ? 4 : 0, -2),
    );
    return [
      utf8,
      utf16,
      Buffer.from(utf16).swap16(),
      Buffer.from(word, 'latin1'),
      ...[utf8.toString('hex'), utf8.toString('hex').toUpperCase(), encodeURIComponent(word)].map((text) =>
        Buffer.from(text),
      ),
      ...base64
        .flatMap((text) => [text, text.replaceAll('+', '-').replaceAll('/', '_')])
        .map((text) => Buffer.from(text)),
    ];
  });
}

function traces(place: string, bytes: Buffer): string[] {
  return spellings()
    .filter((spelling) => bytes.includes(spelling))
    .map((spelling) => `${place}: ${spelling}`);
}

/** The bytes by which the database holds an account's name, address and password: nobody reads them without the key. */
function sealedPerson(data: string, account: string): Buffer {
  const database = new Sqlite(join(data, 'countersign.db'), { readonly: true });
  try {
    return database
      .prepare<[string], Buffer>('SELECT sealed_person FROM accounts WHERE id = ?')
      .pluck()
      .get(account) as Buffer;
  } finally {
    database.close();
  }
}

function tracesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .flatMap((entry) => traces(entry.name, readFileSync(join(entry.parentPath, entry.name))));
}

const hash = new Passwords().hash(PASSWORD);

/** Somebody with all that a person can have. */
async function settled(scene: PeopleScene) {
  const { gateway, call } = scene;
  const { commitGroup, vault } = gateway.store;
  const now = epochSeconds(gateway.clock);
  const person = {
    firstName: FIRST,
    lastName: LAST,
    email: EMAIL,
    passwordHash: await hash,
    roles: ['orders'],
  };
  const account = drawAccount(person, now);
  const key = drawKey(vault, account, now);
  await commitGroup.run('register', async (tx) => {
    await putAccount(tx, account, key);
    await tx.outbox.add(letter({ kind: 'confirm-email', account: account.id, at: now }));
  });
  const folder = join(gateway.folder, 'data', 'mail', account.id);
  // Not a draft, which has another name until it is whole.
  const letters = () =>
    existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.eml')) : [];
  await expect.poll(letters).toHaveLength(1);
  const enrolment = await scene.enrol(await found(scene, account.id));
  const login = { method: 'POST', path: '/v1/login' };
  const { json: tokens } = await call({
    ...login,
    body: { email: EMAIL, password: PASSWORD, totp: scene.code(enrolment) },
  });
  const form = new URLSearchParams({
    email: EMAIL,
    password: PASSWORD,
    totp: enrolment.recoveryCodes[0] as string,
  });
  const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
  const { headers: given } = await call({ ...login, headers, body: form.toString() });
  const cookie = (given['set-cookie'] as string[])[0]?.split(';')[0] as string;
  const patch = {
    method: 'PATCH',
    path: '/v1/account',
    bearer: tokens.accessToken,
    headers: idempotencyKey(),
  };
  await call({ ...patch, body: { firstName: FIRST } });
  const shared = { keyid: key.key.keyid, secret: key.secret.toString('base64') };
  const ask = { method: 'POST', target: '/v1/grants', host: 'localhost', body: '{"role":"pictures"}' };
  await sendSigned(gateway, sign(gateway, shared, ask));
  return { account, tokens, cookie, key: shared, folder };
}

async function found({ gateway }: PeopleScene, id: string) {
  const account = await gateway.store.accounts.find(id);
  if (!account) throw new Error('there is no such account');
  return account;
}

const erase = (bearer: string, password = PASSWORD) => ({
  method: 'DELETE',
  path: '/v1/account',
  bearer,
  headers: idempotencyKey(),
  body: { password },
});

describe('DELETE /v1/account', () => {
  test('leaves no byte of the person in any file or in the log', async () => {
    const log = capturedLog();
    const scene = await peopleScene({ logger: log.logger });
    const { account, tokens, folder } = await settled(scene);
    const data = join(scene.gateway.folder, 'data');
    // The search finds what is there to be found.
    expect(tracesIn(data).join()).toContain(EMAIL);
    const sealed = sealedPerson(data, account.id);
    const journal = join(data, 'countersign.db-wal');
    expect(readFileSync(journal).includes(sealed)).toBe(true);
    const { status, text } = await scene.call(erase(tokens.accessToken));
    expect([status, text]).toEqual([204, '']);
    expect(existsSync(folder)).toBe(false);
    expect(tracesIn(data)).toEqual([]);
    expect(traces('log', Buffer.from(log.text()))).toEqual([]);
    // The outbox may have written of its delivery since the journal was emptied, but of nothing from before.
    expect(readFileSync(journal).includes(sealed)).toBe(false);
    expect(log.text()).not.toContain(PASSWORD);
    const rows = [...scene.gateway.store.audit.rows()];
    expect(rows.at(-1)).toMatchObject({
      action: 'own-account.erase',
      actor: account.id,
      subject: account.id,
    });
    expect(traces('audit', Buffer.from(JSON.stringify(rows)))).toEqual([]);
  });

  test('ends tokens, sessions, keys and codes, and leaves nothing in any table but the audit record', async () => {
    const scene = await peopleScene();
    const { account, tokens, cookie, key } = await settled(scene);
    const { gateway, call } = scene;
    const { store } = gateway;
    const consumer = store.consumers.find(account.consumer);
    await call(erase(tokens.accessToken));
    expect((await scene.whoami(tokens.accessToken)).status).toBe(401);
    expect((await call({ path: '/v1/whoami', headers: { Cookie: cookie } })).status).toBe(401);
    const refresh = {
      method: 'POST',
      path: '/v1/token/refresh',
      body: { refreshToken: tokens.refreshToken },
    };
    expect((await call(refresh)).status).toBe(401);
    const whoami = sign(gateway, key, { method: 'GET', target: '/v1/whoami', host: 'localhost' });
    expect((await sendSigned(gateway, whoami)).status).toBe(401);
    expect((await scene.logIn({ email: EMAIL })).status).toBe(401);
    const { accounts, done, consumers } = store;
    expect([
      await accounts.find(account.id),
      await accounts.findByEmail(EMAIL),
      await accounts.secondFactor(account.id),
      await accounts.recoveryCodes(account.id),
      await accounts.sessions.of(account.id),
      await accounts.refreshTokens.of(account.id),
      consumers.find(account.consumer),
      consumers.keysOf(account.consumer),
      consumers.grants({ consumer: account.consumer }),
      await done.countOf(consumer?.id as string),
    ]).toEqual([undefined, undefined, undefined, [], [], [], undefined, [], [], 0]);
    // What is left is the record of the erasure itself, by the random id alone.
    expect(await done.countOf(account.id)).toBe(1);
  });

  test('C3b: with a wrong password is 401, and nothing is deleted', async () => {
    const scene = await peopleScene();
    const { account, tokens, folder } = await settled(scene);
    const refused = await scene.call(erase(tokens.accessToken, 'not my password'));
    expect([refused.status, refused.json.code]).toEqual([401, 'login-failed']);
    expect(await found(scene, account.id)).toMatchObject({ email: EMAIL, firstName: FIRST });
    expect(readdirSync(folder)).toHaveLength(1);
    expect((await scene.whoami(tokens.accessToken)).status).toBe(200);
  });

  test.each([
    ['without a password', {}],
    ['without a body', undefined],
    ['with a password that is none', { password: 7 }],
  ])('%s is 422, and nothing is deleted', async (_what, body) => {
    const scene = await peopleScene();
    const { account, tokens } = await settled(scene);
    const refused = await scene.call({ ...erase(tokens.accessToken), body });
    expect([refused.status, refused.json.code]).toEqual([422, 'validation-failed']);
    expect(await found(scene, account.id)).toBeDefined();
  });

  test('asked twice at once happens once, and asked again is refused as any call of nobody', async () => {
    const scene = await peopleScene();
    const { tokens } = await settled(scene);
    const call = erase(tokens.accessToken);
    const statuses = (await Promise.all([scene.call(call), scene.call(call)])).map(({ status }) => status);
    expect(statuses.sort()).toEqual([204, 401]);
    const again = await scene.call(call);
    expect([again.status, again.json.code]).toEqual([401, 'token-invalid']);
    const erasures = [...scene.gateway.store.audit.rows()].filter(
      ({ action }) => action === 'own-account.erase',
    );
    expect(erasures).toHaveLength(1);
  });

  test('removes mail that is still to be sent, and that of an invitation', async () => {
    const scene = await peopleScene();
    const { account, tokens } = await settled(scene);
    const { store, clock, folder } = scene.gateway;
    const tag = new Tickets({ vault: store.vault, clock }).addressTag(EMAIL);
    const data = join(folder, 'data');
    mkdirSync(join(data, 'mail', tag));
    writeFileSync(join(data, 'mail', tag, `${'x'.repeat(22)}.eml`), `To: ${EMAIL}`);
    await store.commitGroup.run('queue', (tx) =>
      tx.outbox.add(
        letter({ kind: 'invitation', owner: tag, email: EMAIL, roles: [], at: epochSeconds(clock) }),
      ),
    );
    await scene.call(erase(tokens.accessToken));
    await expect.poll(() => store.outbox.topics()).toEqual([]);
    expect(readdirSync(join(data, 'mail'))).toEqual([]);
    expect(tracesIn(data)).toEqual([]);
    expect(account.id).toMatch(/^[0-9a-f]{24}$/);
  });

  test('leaves others alone', async () => {
    const scene = await peopleScene();
    const { tokens } = await settled(scene);
    const other = await scene.addAccount('bystander@example.org', 'orders');
    const theirs = (await scene.logIn({ email: 'bystander@example.org' })).json.accessToken;
    await scene.call(erase(tokens.accessToken));
    expect((await scene.whoami(theirs)).json).toMatchObject({ principal: `account:${other.id}` });
  });

  test('frees the address for somebody else', async () => {
    const scene = await peopleScene();
    const { tokens } = await settled(scene);
    await scene.call(erase(tokens.accessToken));
    await scene.addAccount(EMAIL);
    const { json } = await scene.logIn({ email: EMAIL });
    expect((await scene.call({ path: '/v1/account', bearer: json.accessToken })).json).toMatchObject({
      mail: [],
      keys: [],
    });
  });
});

describe('an erasure that was cut off after its commit', () => {
  test('is finished by the next start', async () => {
    const scene = await peopleScene();
    const { account, tokens, folder } = await settled(scene);
    await scene.call(erase(tokens.accessToken));
    const { store } = scene.gateway;
    // As if the process had been killed before it came to the files.
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${'x'.repeat(22)}.eml`), `To: ${EMAIL}`);
    const payload = { account: account.id, address: '0'.repeat(32) };
    await store.commitGroup.run('cut off', (tx) => tx.outbox.add({ topic: ERASURE_TOPIC, payload }));
    await expect.poll(() => existsSync(folder)).toBe(false);
  });

  test('leaves no mail folder of nobody at the start', async () => {
    const first = await peopleScene();
    const { folder } = first.gateway;
    const gone = join(folder, 'data', 'mail', 'f'.repeat(24));
    mkdirSync(gone, { recursive: true });
    const second = await startTestGateway({ folder });
    await second.close();
    expect(existsSync(gone)).toBe(false);
  });
});
