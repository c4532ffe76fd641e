/** Refresh tokens are good once, and what becomes of those that are used twice. */
import { describe, expect, test } from 'vitest';
import type { AccessTokens } from '../../src/accounts/access-token.ts';
import { FAMILY_LIFE, RefreshTokens, SAME_ANSWER_FOR } from '../../src/accounts/refresh-token.ts';
import { LoginDesk } from './login-desk.ts';

const EMAIL = 'ada@example.org';
const INVALID = { code: 'token-invalid' };

async function loggedIn(roles?: readonly string[]) {
  const desk = new LoginDesk();
  const account = await desk.addAccount(EMAIL, 'orders', 'reports');
  return { desk, account, ...(await desk.logIn({ email: EMAIL }, roles)) };
}

const refresh = (desk: LoginDesk, token: string, key?: string) =>
  desk.refreshTokens.refresh(token, key, 'a-request');

test('a refresh token gets a new pair, and so on, each with the roles of the login', async () => {
  const { desk, refreshToken } = await loggedIn(['orders:read']);
  let token = refreshToken;
  for (let i = 0; i < 3; i++) {
    const pair = await refresh(desk, token);
    expect((await desk.accessTokens.verify(pair.accessToken)).roles).toEqual(['orders:read']);
    expect(pair.refreshToken).not.toBe(token);
    token = pair.refreshToken;
  }
});

describe('a second use', () => {
  test('ends the whole family, access tokens too, and is on record', async () => {
    const { desk, account, accessToken, refreshToken } = await loggedIn();
    const other = await desk.logIn({ email: EMAIL });
    const next = await refresh(desk, refreshToken);
    await expect(refresh(desk, refreshToken)).rejects.toMatchObject(INVALID);
    await expect(refresh(desk, next.refreshToken)).rejects.toMatchObject(INVALID);
    await expect(desk.accessTokens.verify(accessToken)).rejects.toMatchObject(INVALID);
    await expect(desk.accessTokens.verify(next.accessToken)).rejects.toMatchObject(INVALID);
    // Another login of the same account is another family.
    await desk.accessTokens.verify(other.accessToken);
    await refresh(desk, other.refreshToken);
    const rows = [...desk.store.audit.rows()];
    expect(rows.filter(({ action }) => action === 'token.replayed')).toMatchObject([{ subject: account.id }]);
  });

  test('within 30 seconds under the same Idempotency-Key gets the same answer', async () => {
    const { desk, refreshToken } = await loggedIn();
    const first = await refresh(desk, refreshToken, 'a-key');
    desk.clock.seconds += SAME_ANSWER_FOR;
    expect(await refresh(desk, refreshToken, 'a-key')).toEqual(first);
    expect(await refresh(desk, refreshToken, 'a-key')).toEqual(first);
    await refresh(desk, first.refreshToken, 'another-key');
  });

  test.each([
    ['after 30 seconds', 'a-key', 'a-key', SAME_ANSWER_FOR + 1],
    ['under another key', 'a-key', 'another-key', 1],
    ['without a key', 'a-key', undefined, 1],
    ['with a key where the first had none', undefined, 'a-key', 1],
  ])('%s ends the family', async (_, first, second, seconds) => {
    const { desk, refreshToken } = await loggedIn();
    const next = await refresh(desk, refreshToken, first);
    desk.clock.seconds += seconds;
    await expect(refresh(desk, refreshToken, second)).rejects.toMatchObject(INVALID);
    await expect(refresh(desk, next.refreshToken)).rejects.toMatchObject(INVALID);
  });

  test('at the same moment in two processes leaves one use and no family', async () => {
    const { desk, refreshToken } = await loggedIn();
    const other = new LoginDesk(desk);
    const uses = await Promise.allSettled([refresh(desk, refreshToken), refresh(other, refreshToken)]);
    expect(uses.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const [pair] = uses.flatMap((use) => (use.status === 'fulfilled' ? [use.value] : []));
    await expect(refresh(desk, pair?.refreshToken ?? '')).rejects.toMatchObject(INVALID);
  });

  test('at the same moment in two processes under one key gets one answer', async () => {
    const { desk, refreshToken } = await loggedIn();
    const other = new LoginDesk(desk);
    const [one, two] = await Promise.all([
      refresh(desk, refreshToken, 'a-key'),
      refresh(other, refreshToken, 'a-key'),
    ]);
    expect(one).toEqual(two);
  });
});

describe('a refresh token is refused', () => {
  test.each([
    ['one that was made up', 'A'.repeat(43)],
    ['an empty one', ''],
    ['a short one', 'abc'],
    ['SQL', "' OR 1=1 --"],
    ['a long one', 'A'.repeat(100_000)],
  ])('%s', async (_, token) => {
    const { desk } = await loggedIn();
    await expect(refresh(desk, token)).rejects.toMatchObject(INVALID);
  });

  test('an access token', async () => {
    const { desk, accessToken } = await loggedIn();
    await expect(refresh(desk, accessToken)).rejects.toMatchObject(INVALID);
  });

  test('30 days after the login, however often it was refreshed', async () => {
    const { desk, refreshToken } = await loggedIn();
    desk.clock.seconds += FAMILY_LIFE - 1;
    const { refreshToken: next } = await refresh(desk, refreshToken);
    desk.clock.seconds += 1;
    await expect(refresh(desk, next)).rejects.toMatchObject(INVALID);
  });

  test('once its account has raised its generation, is disabled or erased, in every process; a repeated call too', async () => {
    type Change = (desk: LoginDesk, id: string) => Promise<unknown>;
    const changes: readonly Change[] = [
      ({ store }, id) => store.commitGroup.run('raise', async ({ accounts }) => accounts.raiseGeneration(id)),
      ({ store }, id) =>
        store.commitGroup.run('disable', ({ accounts }) => accounts.update(id, { disabledAt: 1 })),
      ({ store }, id) => store.commitGroup.run('erase', ({ accounts }) => accounts.remove(id)),
    ];
    for (const change of changes) {
      const { desk, account, refreshToken } = await loggedIn();
      const next = await refresh(desk, refreshToken, 'a-key');
      const other = new LoginDesk(desk);
      await change(desk, account.id);
      await expect(refresh(other, next.refreshToken)).rejects.toMatchObject(INVALID);
      await expect(refresh(other, refreshToken, 'a-key')).rejects.toMatchObject(INVALID);
    }
  });
});

test('what ends the account while its tokens are drawn ends the refresh too', async () => {
  const { desk, account, refreshToken } = await loggedIn();
  const { clock } = desk;
  const { vault, accounts, commitGroup } = desk.store;
  const accessTokens: Pick<AccessTokens, 'issue'> = {
    async issue(...given) {
      await commitGroup.run('raise', async (tx) => void (await tx.accounts.raiseGeneration(account.id)));
      return desk.accessTokens.issue(...given);
    },
  };
  const slow = new RefreshTokens({ clock, vault, accounts, commitGroup, accessTokens });
  await expect(slow.refresh(refreshToken, undefined, 'r')).rejects.toMatchObject(INVALID);
  expect(await accounts.refreshTokens.of(account.id)).toMatchObject([{ generation: 0 }]);
});

test('no refresh token stands in the database in clear', async () => {
  const { desk, account, refreshToken } = await loggedIn();
  const { refreshToken: next } = await refresh(desk, refreshToken, 'a-key');
  const kept = JSON.stringify(await desk.store.accounts.refreshTokens.of(account.id));
  const hex = (text: string) => Buffer.from(text).toString('hex');
  for (const token of [refreshToken, next]) {
    expect(kept).not.toContain(token);
    expect(kept).not.toContain(hex(token));
  }
});
