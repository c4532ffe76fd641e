/** When the client tries again by itself, and when it must not. */
import { describe, expect, it } from 'vitest';
import type { Exchange, ResponseError, SignedInit } from '../../src/client/index.ts';
import { retryDelay } from '../../src/client/retry.ts';
import {
  type Behaviour,
  clientOf,
  echo,
  lines,
  type Reaction,
  refusal,
  rejection,
  startPeer,
} from './peer.ts';

/** Answers so for the first calls, and then as it should. */
const first =
  (count: number, reaction: Reaction | 'lost'): Behaviour =>
  (call) =>
    call.number <= count ? reaction : echo(call);

const repeatable: [string, SignedInit][] = [
  ['GET', {}],
  ['HEAD', { method: 'HEAD' }],
  ['OPTIONS', { method: 'OPTIONS' }],
  ['PUT', { method: 'PUT', body: 'x' }],
  ['DELETE', { method: 'DELETE' }],
  ['POST with an idempotency key', { method: 'POST', body: 'x', idempotencyKey: 'k' }],
  ['POST with the field itself', { method: 'POST', body: 'x', headers: { 'Idempotency-Key': '"k"' } }],
];
const single: [string, SignedInit][] = [
  ['POST', { method: 'POST', body: 'x' }],
  ['PATCH', { method: 'PATCH', body: 'x' }],
  ['a method that says nothing of it', { method: 'MKCOL' }],
];
const passing: [string, Reaction | 'lost'][] = [
  ['a lost connection', 'lost'],
  ['502 from behind', { status: 502 }],
  ['503 from behind', { status: 503 }],
  ['504 from behind', { status: 504 }],
  ['429 from behind', { status: 429 }],
  ['the refusal upstream-timeout', refusal('upstream-timeout', 504)],
  ['the refusal rate-limited', refusal('rate-limited', 429)],
  ['the refusal idempotency-in-flight', refusal('idempotency-in-flight', 409)],
];

describe.each(passing)('after %s', (_, reaction) => {
  it.each(repeatable)('%s is tried again, with a new nonce', async (_, init) => {
    const peer = await startPeer(first(2, reaction));
    const client = clientOf(peer);
    expect((await client('/orders', init)).status).toBe(200);
    expect(new Set(peer.calls.map(({ request }) => request.parameters.nonce)).size).toBe(3);
    expect(client.waits).toEqual([200, 400]);
  });

  it.each(single)('%s is not', async (_, init) => {
    const peer = await startPeer(first(1, reaction));
    await clientOf(peer)('/orders', init).catch(() => {});
    expect(peer.calls).toHaveLength(1);
  });

  it('the last answer is what the caller gets', async () => {
    const peer = await startPeer(first(9, reaction));
    const outcome = await clientOf(peer)('/orders').then(
      (response) => response.status,
      (error) => error.code,
    );
    const expected = reaction === 'lost' ? 'connection-lost' : (reaction.lines?.[1]?.[1] ?? reaction.status);
    expect([outcome, peer.calls.length]).toEqual([expected, 3]);
  });
});

describe('nothing is tried again', () => {
  it.each<[string, Reaction]>([
    ['after 500', { status: 500 }],
    ['after 409', { status: 409 }],
    ['after the refusal outcome-unknown', refusal('outcome-unknown', 409)],
    ['after the refusal nonce-replayed', refusal('nonce-replayed', 401)],
    ['after an unsigned 503', { ...refusal('overloaded', 503), unsigned: true }],
    ['after an unsigned 429', { ...refusal('rate-limited', 429), unsigned: true }],
    ['after an unsigned 502 of a proxy', { status: 502, unsigned: true }],
    ['after an answer that was changed', { status: 503, tampered: (answer) => ({ ...answer, status: 502 }) }],
  ])('%s', async (_, reaction) => {
    const peer = await startPeer(first(1, reaction));
    await clientOf(peer)('/orders', { idempotencyKey: 'k' }).catch(() => {});
    expect(peer.calls).toHaveLength(1);
  });

  it('with retries: 0', async () => {
    const peer = await startPeer(first(1, 'lost'));
    expect(await rejection(clientOf(peer, { retries: 0 })('/orders'))).toMatchObject({
      code: 'connection-lost',
    });
    expect(peer.calls).toHaveLength(1);
  });

  it('where the wait would outlast the call’s time: the answer is given at once', async () => {
    const peer = await startPeer(first(1, { status: 429, lines: lines({ 'Retry-After': '120' }) }));
    const client = clientOf(peer);
    expect((await client('/orders')).status).toBe(429);
    expect(client.waits).toEqual([]);
  });
});

describe('the wait', () => {
  it('honours Retry-After', async () => {
    const peer = await startPeer(first(1, { status: 429, lines: lines({ 'Retry-After': '7' }) }));
    const client = clientOf(peer);
    expect((await client('/orders')).status).toBe(200);
    expect(client.waits).toEqual([7000]);
  });

  it('ignores a Retry-After that is not covered', async () => {
    const tampered: Reaction['tampered'] = (answer) => ({
      ...answer,
      lines: [...answer.lines, ['Retry-After', '7']],
    });
    const forged = { covered: (ids: readonly string[]) => ids.filter((id) => id !== '"retry-after"') };
    const peer = await startPeer(first(1, { status: 429, forged, tampered }));
    const client = clientOf(peer);
    await client('/orders');
    expect(client.waits).toEqual([200]);
  });

  it.each([
    [1, undefined, 0.5, 100],
    [2, undefined, 0.5, 200],
    [20, undefined, 1, 5000],
    [1, undefined, 0, 0],
    [1, '3', 1, 3000],
    [9, '1', 1, 5000],
    [1, 'Fri, 15 Jan 2027 08:00:09 GMT', 1, 9000],
    [1, 'Fri, 15 Jan 2027 07:00:00 GMT', 1, 200],
    [1, 'soon', 1, 200],
    [1, '-5', 1, 200],
    // A longer wait than a timer can hold would be none at all.
    [1, '999999999', 1, 2_147_483_647],
  ])(
    'after try %i with Retry-After %s and the random number %d is %i ms',
    (attempt, retryAfter, random, delay) => {
      expect(retryDelay(attempt, retryAfter, 1_800_000_000_000, random)).toBe(delay);
    },
  );
});

describe('a clock that is wrong', () => {
  const gatewayTime = 1_800_000_000;
  const ahead = (seconds: number) => ({ clock: { now: () => (gatewayTime - seconds) * 1000 } });

  it.each([
    ['the gateway is 10 minutes ahead', 600],
    ['the gateway is 10 minutes behind', -600],
    ['the gateway is 20 hours ahead', 72_000],
  ])('costs one try, also of a POST, and then no more: %s', async (_, seconds) => {
    const peer = await startPeer(echo, { now: () => gatewayTime });
    const exchanges: Exchange[] = [];
    const client = clientOf(peer, { ...ahead(seconds), onExchange: (each) => void exchanges.push(each) });
    expect((await client('/orders', { method: 'POST', body: 'x' })).status).toBe(200);
    expect((await client('/orders', { method: 'POST', body: 'x' })).status).toBe(200);
    expect(exchanges.map(({ error }) => error?.code)).toEqual([
      seconds > 0 ? 'signature-expired' : 'clock-skew',
      undefined,
      undefined,
    ]);
    expect(new Set(exchanges.map(({ prepared }) => prepared.nonce)).size).toBe(3);
    expect(client.waits).toEqual([]);
  });

  it('is set for HEAD too, whose refusal has no document', async () => {
    const peer = await startPeer(echo, { now: () => gatewayTime });
    expect((await clientOf(peer, ahead(600))('/orders', { method: 'HEAD' })).status).toBe(200);
  });

  it('is tried once more and no more', async () => {
    const time = Math.floor(Date.now() / 1000);
    const peer = await startPeer(() => refusal('clock-skew', 401, { 'server-time': time }));
    expect(await rejection(clientOf(peer)('/orders'))).toMatchObject({ code: 'clock-skew', verified: true });
    expect(peer.calls).toHaveLength(2);
  });

  it.each(['clock-skew', 'signature-expired'])('is not learned from an unsigned %s', async (code) => {
    const unsigned = { ...refusal(code, 401, { 'server-time': gatewayTime }), unsigned: true } as const;
    const peer = await startPeer(first(1, unsigned));
    const client = clientOf(peer);
    const error = (await rejection(client('/orders'))) as ResponseError;
    expect([error.code, error.verified, peer.calls.length]).toEqual([code, false, 1]);
    const before = Math.floor(Date.now() / 1000);
    await client('/orders');
    expect(peer.calls[1]?.request.parameters.created).toBeGreaterThanOrEqual(before);
  });

  it('leaves a call its retries', async () => {
    const peer = await startPeer(first(1, 'lost'), { now: () => gatewayTime });
    expect((await clientOf(peer, { ...ahead(600), retries: 1 })('/orders')).status).toBe(200);
  });

  it('is not learned from another refusal', async () => {
    const peer = await startPeer(first(1, refusal('role-missing', 403, { 'server-time': 5 })));
    const client = clientOf(peer);
    await rejection(client('/orders'));
    expect((await client('/orders')).status).toBe(200);
  });

  it('is told of with the times of the answer unjudged, its MAC and nonce not', async () => {
    const old = { created: 1000, expires: 1060 };
    const skewed = refusal('clock-skew', 401, { 'server-time': Math.floor(Date.now() / 1000) });
    const peer = await startPeer(first(1, { ...skewed, forged: old }));
    expect((await clientOf(peer)('/orders')).status).toBe(200);
    const liar = await startPeer(
      first(1, { ...skewed, forged: { ...old, nonce: 'another-nonce-of-22-bytes' } }),
    );
    expect(await rejection(clientOf(liar)('/orders'))).toMatchObject({ code: 'response-invalid' });
  });
});
