/** One signed request, to two processes at once or to one again. The long version is same-request.heavy.test.ts. */
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { SqliteStore } from '../../src/storage/sqlite/store.ts';
import type { Transaction } from '../../src/storage/unit-of-work.ts';
import { answerOf, Pair, raceSameRequests } from './same-request.ts';

describe('two gateways on one data folder', () => {
  it(
    'that are given the same signed request at the same instant carry it out once, each of 200 times',
    () => raceSameRequests(200),
    180_000,
  );
});

describe('a call whose result is stored', () => {
  const now = Math.floor(Date.now() / 1000);
  const inactive = { status: 401, code: 'key-inactive' };
  const cases: readonly [string, (tx: Transaction, keyid: string) => unknown, object][] = [
    ['whose key is revoked', ({ consumers }, keyid) => consumers.revokeKey(keyid, now), inactive],
    ['who is disabled', ({ consumers }) => consumers.disable('shop', now), inactive],
    [
      'who is removed',
      ({ consumers }) => consumers.remove('shop'),
      // Unknown from the first moment, or found to be gone inside the transaction.
      { status: 401, code: expect.stringMatching(/^(?:signature-invalid|key-inactive)$/) },
    ],
    [
      'who has lost the role',
      ({ consumers }) => consumers.update('shop', { roles: ['other'] }),
      { status: 403, code: 'role-missing' },
    ],
  ];

  it.each(cases)('is refused to a consumer %s', async (_, change, refusal) => {
    const pair = await Pair.start(1);
    const shop = await pair.consumer('shop');
    const raise = pair.prepare(shop, { op: 'raise', counter: 'c0', amount: 1 });
    const transfer = () => pair.prepare(shop, { op: 'move', from: 'a0', to: 'a1', amount: 5 }, 'order-1');
    for (const replayed of [false, true]) {
      expect(answerOf(await pair.send(raise))).toMatchObject({ status: 200, replayed });
      expect(answerOf(await pair.send(transfer()))).toMatchObject({ status: 201, replayed });
    }
    // As another process does it, such as the command line.
    const store = new SqliteStore({
      folder: pair.folder,
      clock: systemClock,
      skew: 30,
      masterKey: undefined,
    });
    await store.commitGroup.run('change', async (tx) => {
      await change(tx, shop.keyid);
    });
    store.close();
    for (const again of [raise, transfer()]) {
      const answer = answerOf(await pair.send(again));
      expect(answer).toMatchObject({ ...refusal, replayed: false });
      expect(answer.body ?? '').not.toMatch(/"value"|"from"/);
    }
  });
});
