/** What a token is worth in other hands, and what it never leads to. */
import { expect, test } from 'vitest';
import { EMAIL, idempotencyKey, peopleScene } from './people-scene.ts';

test('a token opens no letter’s ticket: it neither sets a password nor confirms an address', async () => {
  const scene = await peopleScene();
  await scene.addAccount(EMAIL);
  const bearer = (await scene.logIn()).json.accessToken;
  const headers = idempotencyKey();
  await scene.call({ method: 'POST', path: '/v1/password/forgot', body: { email: EMAIL } });
  await scene.call({ method: 'POST', path: '/v1/account/email', headers, bearer });

  const mail = async () => {
    const { json } = await scene.call({ path: '/v1/account', bearer });
    return json.mail as readonly { readonly content: string }[];
  };
  await expect.poll(async () => (await mail()).length).toBe(2);
  for (const { content } of await mail()) {
    expect(content).toContain('the ticket stands in the mail alone');
    expect(content).not.toMatch(/[\w-]{20,}\.[\w-]{20,}/);
  }
});
