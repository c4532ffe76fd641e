/** Which tokens open what they were issued for, and the many that don't. */
import { createHmac, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import fc from 'fast-check';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { describe, expect, test } from 'vitest';
import { ACCESS_LIFE } from '../../src/accounts/access-token.ts';
import type { Account } from '../../src/accounts/account.ts';
import { CountersignError } from '../../src/errors.ts';
import { LoginDesk, ORIGIN, SKEW } from './login-desk.ts';

const EMAIL = 'ada@example.org';
const INVALID = { code: 'token-invalid' };
const DAY = 24 * 3600;

async function loggedIn(...roles: string[]) {
  const desk = new LoginDesk();
  const account = await desk.addAccount(EMAIL, ...roles);
  const { accessToken, refreshToken } = await desk.logIn({ email: EMAIL });
  return { desk, account, accessToken, refreshToken };
}

const encoded = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url');

/** A token as anybody may put it together. */
function forged(header: unknown, claims: unknown, signature: (input: Buffer) => Buffer): string {
  const input = `${encoded(header)}.${encoded(claims)}`;
  return `${input}.${signature(Buffer.from(input)).toString('base64url')}`;
}

/** The gateway's own key, which no attacker has: to sign what the gateway never would. */
async function ownKey(desk: LoginDesk): Promise<{ kid: string; key: KeyObject }> {
  return desk.signingKeys.current();
}

test('a token says who calls, with which roles, until when, for whom', async () => {
  const { desk, account, accessToken } = await loggedIn('orders', 'reports:read');
  expect(decodeProtectedHeader(accessToken)).toEqual({
    alg: 'EdDSA',
    typ: 'at+jwt',
    kid: expect.any(String),
  });
  expect(decodeJwt(accessToken)).toEqual({
    iss: ORIGIN,
    aud: ORIGIN,
    sub: account.id,
    name: 'Ada Lovelace',
    roles: ['orders', 'reports:read'],
    gen: 0,
    sid: expect.any(String),
    jti: expect.stringMatching(/^[\w-]{22}$/),
    iat: desk.clock.seconds,
    exp: desk.clock.seconds + ACCESS_LIFE,
  });
  const verified = await desk.accessTokens.verify(accessToken);
  expect(verified).toMatchObject({ account: { id: account.id }, roles: ['orders', 'reports:read'] });
});

test('a subset of roles is all that the token grants, and what the account lost is gone from it', async () => {
  const desk = new LoginDesk();
  const { id } = await desk.addAccount(EMAIL, 'orders', 'reports');
  const { accessToken } = await desk.logIn({ email: EMAIL }, ['orders:read']);
  expect((await desk.accessTokens.verify(accessToken)).roles).toEqual(['orders:read']);
  await desk.store.commitGroup.run('change', ({ accounts }) => accounts.update(id, { roles: ['reports'] }));
  expect((await desk.accessTokens.verify(accessToken)).roles).toEqual([]);
});

test('a token is good until its end, and for as long after it as clocks may differ', async () => {
  const { desk, accessToken } = await loggedIn();
  desk.clock.seconds += ACCESS_LIFE + SKEW - 1;
  await desk.accessTokens.verify(accessToken);
  desk.clock.seconds += 1;
  await expect(desk.accessTokens.verify(accessToken)).rejects.toMatchObject({
    ...INVALID,
    message: expect.stringContaining('expired'),
  });
});

describe('a token is refused', () => {
  type Forge = (desk: LoginDesk, account: Account, token: string) => Promise<string>;
  const claimsOf = (token: string) => decodeJwt(token);
  const HEADER = { alg: 'EdDSA', typ: 'at+jwt' };
  const eve = generateKeyPairSync('ed25519');
  const byOwn = (desk: LoginDesk, header: (kid: string) => unknown, claims: unknown) =>
    ownKey(desk).then(({ kid, key }) => forged(header(kid), claims, (input) => sign(null, input, key)));
  const withClaims =
    (change: (desk: LoginDesk) => object): Forge =>
    (desk, _, token) =>
      byOwn(desk, (kid) => ({ ...HEADER, kid }), { ...claimsOf(token), ...change(desk) });

  const forgeries: readonly (readonly [string, Forge])[] = [
    [
      'with alg none',
      async (_d, _a, token) => `${encoded({ ...HEADER, alg: 'none' })}.${token.split('.')[1]}.`,
    ],
    [
      'with alg None and the signature that it had',
      async (_d, _a, token) =>
        [encoded({ ...decodeProtectedHeader(token), alg: 'None' }), ...token.split('.').slice(1)].join('.'),
    ],
    [
      'under HS256 with the public key as the secret',
      async (desk, _, token) => {
        const { keys } = await desk.signingKeys.published();
        const { kid, x } = keys[0] as { kid: string; x: string };
        return forged({ alg: 'HS256', typ: 'at+jwt', kid }, claimsOf(token), (input) =>
          createHmac('sha256', Buffer.from(x, 'base64url')).update(input).digest(),
        );
      },
    ],
    [
      'under HS256 with the public JWK as the secret',
      async (desk, _, token) => {
        const [jwk] = (await desk.signingKeys.published()).keys;
        return forged({ alg: 'HS256', typ: 'at+jwt', kid: jwk?.kid }, claimsOf(token), (input) =>
          createHmac('sha256', JSON.stringify(jwk)).update(input).digest(),
        );
      },
    ],
    [
      'by another key under our kid',
      async (_d, _a, token) =>
        forged(decodeProtectedHeader(token), claimsOf(token), (input) => sign(null, input, eve.privateKey)),
    ],
    [
      'by another key that it brings along',
      async (_d, _a, token) =>
        forged(
          { ...HEADER, jwk: eve.publicKey.export({ format: 'jwk' }), kid: 'eve' },
          claimsOf(token),
          (input) => sign(null, input, eve.privateKey),
        ),
    ],
    [
      'by another key at an address that it names',
      async (_d, _a, token) =>
        forged({ ...HEADER, jku: 'https://evil.example/jwks.json', kid: 'eve' }, claimsOf(token), (input) =>
          sign(null, input, eve.privateKey),
        ),
    ],
    ...[
      "x' UNION SELECT 1 --",
      '../../etc/passwd',
      '__proto__',
      'constructor',
      '',
      0,
      null,
      ['a'],
      { kid: 1 },
    ].map((kid): readonly [string, Forge] => [
      `with the kid ${JSON.stringify(kid)}`,
      (desk, _, token) => byOwn(desk, () => ({ ...HEADER, kid }), claimsOf(token)),
    ]),
    ['without a kid', (desk, _, token) => byOwn(desk, () => HEADER, claimsOf(token))],
    ['with another typ', (desk, _, t) => byOwn(desk, (kid) => ({ ...HEADER, kid, typ: 'JWT' }), claimsOf(t))],
    [
      'as a ticket',
      (desk, _, t) => byOwn(desk, (kid) => ({ ...HEADER, kid, typ: 'ticket+jwt' }), claimsOf(t)),
    ],
    ['without a typ', (desk, _, t) => byOwn(desk, (kid) => ({ alg: 'EdDSA', kid }), claimsOf(t))],
    [
      'with a critical extension',
      (desk, _, t) => byOwn(desk, (kid) => ({ ...HEADER, kid, crit: ['exp'], exp: 1 }), claimsOf(t)),
    ],
    ['for another audience', withClaims(() => ({ aud: 'https://other.example' }))],
    ['for the audience of tickets', withClaims(() => ({ aud: 'countersign-ticket' }))],
    ['by another issuer', withClaims(() => ({ iss: 'https://other.example' }))],
    ['that has expired', withClaims(({ clock }) => ({ exp: clock.seconds - SKEW }))],
    [
      'from the future',
      withClaims(({ clock }) => ({ iat: clock.seconds + 3600, exp: clock.seconds + 4000 })),
    ],
    [
      'that is too old for its end',
      withClaims(({ clock }) => ({ iat: clock.seconds - DAY, exp: clock.seconds + DAY })),
    ],
    ['that is not good yet', withClaims(({ clock }) => ({ nbf: clock.seconds + 3600 }))],
    ['of an earlier generation', withClaims(() => ({ gen: -1 }))],
    ['of a generation to come', withClaims(() => ({ gen: 1 }))],
    ['of a generation that is text', withClaims(() => ({ gen: '0' }))],
    ['of another account', withClaims(() => ({ sub: 'f'.repeat(24) }))],
    ['of no account', withClaims(() => ({ sub: 5 }))],
    ['of another login', withClaims(() => ({ sid: 'another' }))],
    ['whose roles are no list', withClaims(() => ({ roles: 'operator' }))],
    ['whose roles are none', withClaims(() => ({ roles: ['any'] }))],
    ...['iss', 'aud', 'sub', 'jti', 'iat', 'exp', 'gen', 'roles', 'sid'].map(
      (claim): readonly [string, Forge] => [`without ${claim}`, withClaims(() => ({ [claim]: undefined }))],
    ),
    ['that is over-long', async (_d, _a, token) => token + 'A'.repeat(10_000)],
    ['that is empty', async () => ''],
    ['whose claims are no object', (desk) => byOwn(desk, (kid) => ({ ...HEADER, kid }), 'claims')],
  ];

  test.each(forgeries)('%s', async (_, forge) => {
    const { desk, account, accessToken } = await loggedIn('operator-like');
    await desk.accessTokens.verify(accessToken);
    const token = await forge(desk, account, accessToken);
    await expect(desk.accessTokens.verify(token)).rejects.toMatchObject(INVALID);
  });

  test('of an account that was disabled, or erased', async () => {
    const { desk, account, accessToken } = await loggedIn();
    const { commitGroup } = desk.store;
    await commitGroup.run('disable', ({ accounts }) => accounts.update(account.id, { disabledAt: 1 }));
    await expect(desk.accessTokens.verify(accessToken)).rejects.toMatchObject(INVALID);
    await commitGroup.run('enable', ({ accounts }) => accounts.update(account.id, { disabledAt: null }));
    await desk.accessTokens.verify(accessToken);
    await commitGroup.run('erase', ({ accounts }) => accounts.remove(account.id));
    await expect(desk.accessTokens.verify(accessToken)).rejects.toMatchObject(INVALID);
  });

  test('after its generation was raised, at once in every process', async () => {
    const { desk, account, accessToken } = await loggedIn();
    const other = new LoginDesk(desk);
    await other.accessTokens.verify(accessToken);
    await desk.store.commitGroup.run('everywhere', async ({ accounts }) => {
      await accounts.raiseGeneration(account.id);
    });
    await expect(other.accessTokens.verify(accessToken)).rejects.toMatchObject(INVALID);
    await expect(desk.accessTokens.verify(accessToken)).rejects.toMatchObject(INVALID);
  });

  test('whatever text it is, with a typed error', async () => {
    const { desk, accessToken } = await loggedIn();
    const [header = '', claims = '', signature = ''] = accessToken.split('.');
    const part = (own: string) =>
      fc.oneof(
        fc.constant(own),
        fc.string(),
        fc.json().map((json) => Buffer.from(json).toString('base64url')),
      );
    const token = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.tuple(part(header), part(claims), part(signature)).map((parts) => parts.join('.')),
    );
    await fc.assert(
      fc.asyncProperty(token, async (text) => {
        fc.pre(text !== accessToken);
        const error = await desk.accessTokens.verify(text).catch((caught: unknown) => caught);
        expect(error).toBeInstanceOf(CountersignError);
        expect(error).toMatchObject(INVALID);
      }),
      { numRuns: 500 },
    );
  });

  test('where a bit of its signed parts was turned', async () => {
    const { desk, accessToken } = await loggedIn();
    const end = accessToken.lastIndexOf('.');
    for (let i = 0; i < end; i += 7) {
      const turned = accessToken[i] === 'A' ? 'B' : 'A';
      const token = accessToken.slice(0, i) + turned + accessToken.slice(i + 1);
      await expect(desk.accessTokens.verify(token)).rejects.toMatchObject(INVALID);
    }
  });
});

describe('signing keys', () => {
  test('are published without their private halves, which lie sealed', async () => {
    const { desk } = await loggedIn();
    expect(await desk.signingKeys.published()).toEqual({
      keys: [
        {
          kty: 'OKP',
          crv: 'Ed25519',
          x: expect.any(String),
          kid: expect.any(String),
          use: 'sig',
          alg: 'EdDSA',
        },
      ],
    });
    const [kept] = await desk.store.accounts.signingKeys.list();
    const { key } = await desk.signingKeys.current();
    const { d } = key.export({ format: 'jwk' });
    expect(kept?.sealedKey.includes(Buffer.from(d as string, 'base64url'))).toBe(false);
  });

  test('follow each other with overlap: published a day before, good until the last token has ended', async () => {
    const { desk } = await loggedIn();
    const first = (await ownKey(desk)).kid;
    const kids = async () => (await desk.signingKeys.published()).keys.map(({ kid }) => kid);

    desk.clock.seconds += 29 * DAY;
    expect((await ownKey(desk)).kid).toBe(first);
    expect(await kids()).toEqual([first]);
    desk.clock.seconds += 1;
    expect((await ownKey(desk)).kid).toBe(first);
    expect(await kids()).toHaveLength(2);

    desk.clock.seconds += DAY - 2;
    const last = await desk.logIn({ email: EMAIL });
    desk.clock.seconds += 1;
    const second = (await ownKey(desk)).kid;
    expect(second).not.toBe(first);
    await desk.accessTokens.verify(last.accessToken);
    desk.clock.seconds += ACCESS_LIFE + SKEW - 2;
    await desk.accessTokens.verify(last.accessToken);
    desk.clock.seconds += 2;
    expect(await kids()).toEqual([second]);
  });

  test('are made once, however many ask at the same moment in however many processes', async () => {
    const desk = new LoginDesk();
    const desks = [desk, new LoginDesk(desk), new LoginDesk(desk)];
    const asked = await Promise.all(
      desks.flatMap(({ signingKeys }) => [signingKeys.current(), signingKeys.current()]),
    );
    expect(new Set(asked.map(({ kid }) => kid)).size).toBe(1);
    expect(await desk.store.accounts.signingKeys.list()).toHaveLength(1);
  });

  test('of which two stand for one time are both good, and one of them signs', async () => {
    const { desk, accessToken } = await loggedIn();
    const [own] = await desk.store.accounts.signingKeys.list();
    const { publicKey } = generateKeyPairSync('ed25519');
    const { kty, crv, x } = publicKey.export({ format: 'jwk' });
    const twin = { ...own, kid: `z${randomBytes(8).toString('hex')}`, publicKey: { kty, crv, x } };
    await desk.store.commitGroup.run('add', ({ accounts }) =>
      accounts.signingKeys.add(twin as NonNullable<typeof own>),
    );
    const kids = [own?.kid, twin.kid].sort();
    expect((await ownKey(desk)).kid).toBe(kids[0]);
    expect((await desk.signingKeys.published()).keys).toHaveLength(2);
    await desk.accessTokens.verify(accessToken);
  });

  test('survive a restart, and so do tokens', async () => {
    const { desk, accessToken, refreshToken } = await loggedIn();
    desk.store.close();
    const restarted = new LoginDesk(desk);
    await restarted.accessTokens.verify(accessToken);
    await restarted.refreshTokens.refresh(refreshToken, undefined, 'r');
  });
});
