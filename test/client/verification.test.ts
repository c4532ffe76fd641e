/** What the client makes of an answer: trusted whole, or not at all. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ResponseError } from '../../src/client/index.ts';
import {
  type Answer,
  clientOf,
  echo,
  type Forgery,
  lines,
  type Reaction,
  refusal,
  rejection,
  sign,
  startPeer,
} from './peer.ts';

const ORDER: Reaction = {
  status: 201,
  lines: lines({
    'Content-Type': 'application/json',
    Location: '/orders/7',
    ETag: '"7"',
    'Countersign-Request-Id': 'r1',
  }),
  body: Buffer.from('{"tea":2}'),
};

/** The same answer with one field's value changed. */
const withField = (wanted: string, change: (value: string) => string) => (answer: Answer) => ({
  ...answer,
  lines: answer.lines.map(([name, value]) => [name, name === wanted ? change(value) : value] as const),
});
const without = (unwanted: string) => (answer: Answer) => ({
  ...answer,
  lines: answer.lines.filter(([name]) => name !== unwanted),
});
const swap = (from: string, to: string) => (value: string) => {
  expect(value).toContain(from);
  return value.replace(from, to);
};

const tamperings: Record<string, (answer: Answer) => Answer> = {
  'one byte of the body': (answer) => ({ ...answer, body: Buffer.from('{"tea":3}') }),
  'a body cut short': (answer) => ({
    ...withField('Content-Length', () => '8')(answer),
    body: answer.body.subarray(0, 8),
  }),
  'another status': (answer) => ({ ...answer, status: 200 }),
  'another location': withField('Location', swap('7', '8')),
  'a location less': without('Location'),
  'an etag twice': (answer) => ({ ...answer, lines: [...answer.lines, ['ETag', '"8"']] }),
  'another digest': withField('Content-Digest', (value) =>
    value.replace(/:(.)/, (_, c) => `:${c === 'A' ? 'B' : 'A'}`),
  ),
  'another digest algorithm': withField('Content-Digest', swap('sha-256', 'md5')),
  'no digest': without('Content-Digest'),
  'no Signature': without('Signature'),
  'no Signature-Input': without('Signature-Input'),
  'another MAC': withField('Signature', (value) =>
    value.replace(/cs=:./, (c) => (c.endsWith('A') ? 'cs=:B' : 'cs=:A')),
  ),
  'another nonce': withField('Signature-Input', (value) => value.replace(/nonce="./, 'nonce="!')),
  'another keyid': withField('Signature-Input', swap('shop-2026', 'shop-2027')),
  'another tag': withField('Signature-Input', swap('countersign-response-v1', 'countersign-request-v1')),
  'another algorithm': withField('Signature-Input', swap('hmac-sha256', 'hmac-sha512')),
  'a later created': withField('Signature-Input', (value) => value.replace(/created=\d/, 'created=9')),
  'a component less': withField('Signature-Input', swap('"@status" ', '')),
  'another label in one': withField('Signature', swap('cs=', 'sc=')),
  'a Signature-Input that does not parse': withField('Signature-Input', () => 'cs=('),
};

describe('an answer that was changed on the way is refused', () => {
  it.each(Object.entries(tamperings))('%s', async (_, tampered) => {
    const peer = await startPeer(() => ({ ...ORDER, tampered }));
    const error = (await rejection(clientOf(peer)('/orders', { method: 'PUT', body: 'x' }))) as ResponseError;
    expect(error).toBeInstanceOf(ResponseError);
    expect([error.code, error.verified, error.status]).toEqual([
      'response-invalid',
      false,
      tampered === tamperings['another status'] ? 200 : 201,
    ]);
    expect(peer.calls).toHaveLength(1);
  });

  it('while the same answer unchanged is given', async () => {
    const peer = await startPeer(() => ({ ...ORDER, tampered: (answer) => answer }));
    const response = await clientOf(peer)('/orders', { method: 'PUT', body: 'x' });
    expect([response.status, await response.json()]).toEqual([201, { tea: 2 }]);
  });
});

const NOW = 1_800_000_000;
const drop = (id: string) => (ids: readonly string[]) => {
  expect(ids).toContain(id);
  return ids.filter((each) => each !== id);
};

const forgeries: Record<string, [Forgery, RegExp]> = {
  'for another request': [{ nonce: 'another-nonce-of-22-bytes' }, /nonce/],
  'by another keyid': [{ keyid: 'shop-2027' }, /keyid/],
  'with another secret': [{ secret: Buffer.alloc(64, 8) }, /does not hold/],
  'with the tag of a request': [{ tag: 'countersign-request-v1' }, /tag/],
  'with the tag of an upstream': [{ tag: 'countersign-upstream-v1' }, /tag/],
  'with another algorithm': [{ alg: 'hmac-sha512' }, /does not hold/],
  'without the status': [{ covered: drop('"@status"') }, /"@status"/],
  'without the digest': [{ covered: drop('"content-digest"') }, /"content-digest"/],
  'without the method': [{ covered: drop('"@method";req') }, /"@method";req/],
  'without the target': [{ covered: drop('"@target-uri";req') }, /"@target-uri";req/],
  "without the request's digest": [{ covered: drop('"content-digest";req') }, /"content-digest";req/],
  'with the digest as bytes alone': [
    { covered: (ids) => ids.map((id) => (id === '"content-digest"' ? '"content-digest";bs' : id)) },
    /"content-digest"/,
  ],
  'that never held': [{ created: NOW, expires: NOW }, /"expires"/],
  'that had expired an hour ago': [{ created: NOW - 3660, expires: NOW - 3600 }, /had expired/],
};

describe('a signature that holds, and says the wrong thing, is refused', () => {
  it.each(Object.entries(forgeries))('%s', async (_, [forged, reason]) => {
    const peer = await startPeer(() => ({ ...ORDER, forged }), { now: () => NOW });
    const client = clientOf(peer, { clock: { now: () => NOW * 1000 } });
    const error = (await rejection(client('/orders', { method: 'POST', body: 'x' }))) as ResponseError;
    expect([error.code, error.verified, error.status]).toEqual(['response-invalid', false, 201]);
    expect(error.message).toMatch(reason);
  });

  it('while one made in the same way, and right, holds', async () => {
    const peer = await startPeer(() => ({ ...ORDER, forged: {} }), { now: () => NOW });
    const client = clientOf(peer, { clock: { now: () => NOW * 1000 } });
    expect((await client('/orders', { method: 'POST', body: 'x' })).status).toBe(201);
  });

  it('and one that is 20 s old by a clock that is 25 s off holds too: the nonce says that it is fresh', async () => {
    const forged = { created: NOW - 20, expires: NOW + 40 };
    const peer = await startPeer(() => ({ ...ORDER, forged }), { now: () => NOW });
    const client = clientOf(peer, { clock: { now: () => (NOW + 25) * 1000 } });
    expect((await client('/orders', { method: 'POST', body: 'x' })).status).toBe(201);
  });
});

describe('of a verified answer', () => {
  const more = lines({ 'X-Injected': 'yes', 'Set-Cookie': 'a=b', Date: 'Sun, 22 Nov 2026 00:00:00 GMT' });

  it('what the signature does not cover is hidden', async () => {
    const peer = await startPeer(() => ({ ...ORDER, lines: [...(ORDER.lines ?? []), ...more] }));
    const response = await clientOf(peer)('/orders');
    expect([...response.headers.keys()]).toEqual([
      'content-digest',
      'content-type',
      'countersign-request-id',
      'etag',
      'location',
    ]);
  });

  it('a Countersign-Refusal that was put there on the way is hidden, not believed', async () => {
    const tampered = (answer: Answer) => ({
      ...answer,
      lines: [...answer.lines, ['Countersign-Refusal', 'key-inactive'] as const],
    });
    const peer = await startPeer(() => ({ ...ORDER, tampered }));
    const response = await clientOf(peer)('/orders');
    expect([response.status, response.headers.has('countersign-refusal')]).toEqual([201, false]);
  });

  it('a field of which one member alone is covered is hidden', async () => {
    const forged = { covered: (ids: readonly string[]) => [...ids, '"x-list";key="a"'] };
    const peer = await startPeer(() => ({ ...ORDER, lines: lines({ 'X-List': 'a=1, b=2' }), forged }));
    const response = await clientOf(peer)('/orders');
    expect(response.headers.has('x-list')).toBe(false);
  });

  it('status, text, url and body are those of fetch', async () => {
    const peer = await startPeer(() => ORDER);
    const response = await clientOf(peer)('/orders?since=1#end');
    expect([response.status, response.statusText, response.ok, response.redirected]).toEqual([
      201,
      'Created',
      true,
      false,
    ]);
    expect(response.url).toBe(`${peer.url}/orders?since=1`);
    expect(await response.text()).toBe('{"tea":2}');
  });

  it.each([204, 205, 304])('%i has no body', async (status) => {
    const peer = await startPeer(() => ({ status }));
    const response = await clientOf(peer)('/orders');
    expect([response.status, response.body]).toEqual([status, null]);
  });

  it('HEAD has no body, and is verified all the same', async () => {
    const peer = await startPeer(() => ORDER);
    const response = await clientOf(peer)('/orders', { method: 'HEAD' });
    expect([response.status, response.headers.get('etag'), response.body]).toEqual([201, '"7"', null]);
  });

  it.each([400, 401, 404, 409, 500, 501])(
    '%i from behind the gateway is returned, as fetch does',
    async (status) => {
      const problem = Buffer.from('{"code":"nonce-replayed"}');
      const peer = await startPeer(() => ({
        status,
        lines: lines({ 'Content-Type': 'application/problem+json' }),
        body: problem,
      }));
      const response = await clientOf(peer)('/orders');
      expect([response.status, await response.text()]).toEqual([status, problem.toString()]);
    },
  );

  it.each([301, 302, 303, 307, 308])('%i is returned, not followed', async (status) => {
    const peer = await startPeer(() => ({ status, lines: lines({ Location: '/elsewhere' }) }));
    const response = await clientOf(peer)('/orders', { redirect: 'follow' });
    expect([response.status, response.headers.get('location')]).toEqual([status, '/elsewhere']);
    expect(peer.calls.map(({ request }) => request.message.target)).toEqual(['/orders']);
  });

  it('a body that bears a content-encoding is given as it was signed', async () => {
    const body = Buffer.from('not really gzip');
    const peer = await startPeer(() => ({ lines: lines({ 'Content-Encoding': 'gzip' }), body }));
    const response = await clientOf(peer)('/orders');
    expect([response.headers.get('content-encoding'), await response.text()]).toEqual([
      'gzip',
      body.toString(),
    ]);
  });
});

describe('a refusal by the gateway', () => {
  it('is thrown with its code, its detail and its members', async () => {
    const errors = [{ path: '/tea', detail: 'must be a number' }];
    const peer = await startPeer(() => refusal('digest-mismatch', 400, { errors }, { 'Retry-After': '3' }));
    const error = (await rejection(clientOf(peer)('/orders'))) as ResponseError;
    expect(error).toBeInstanceOf(ResponseError);
    expect({ ...error }).toMatchObject({
      name: 'CountersignError',
      code: 'digest-mismatch',
      status: 400,
      verified: true,
      members: { errors },
    });
    expect([error.message, error.headers['retry-after']]).toEqual(['digest-mismatch!', '3']);
  });

  it('has the code of the signed field, whatever its document says', async () => {
    const peer = await startPeer(() => refusal('role-missing', 403, { code: 'key-inactive' }));
    expect(await rejection(clientOf(peer)('/orders'))).toMatchObject({
      code: 'role-missing',
      verified: true,
    });
  });

  it('is known where there is no document: the answer to HEAD', async () => {
    const peer = await startPeer(() => refusal('role-missing', 403));
    const error = (await rejection(clientOf(peer)('/orders', { method: 'HEAD' }))) as ResponseError;
    expect([error.code, error.verified, error.message]).toEqual([
      'role-missing',
      true,
      'The gateway refused the call (role-missing, 403).',
    ]);
  });

  it('with a code that only a newer gateway knows is thrown with that code', async () => {
    const peer = await startPeer(() => refusal('moon-not-full', 403));
    expect(await rejection(clientOf(peer)('/orders'))).toMatchObject({
      code: 'moon-not-full',
      verified: true,
    });
  });

  it('keeps control characters off the terminal', async () => {
    const peer = await startPeer(() => refusal('role-missing', 403, { detail: 'a\u001b[2Jb\nc' }));
    expect(((await rejection(clientOf(peer)('/orders'))) as Error).message).toBe('a [2Jb c');
  });
});

describe('an unsigned answer', () => {
  it('that should be signed is refused', async () => {
    const peer = await startPeer(() => ({ ...ORDER, unsigned: true }));
    expect(await rejection(clientOf(peer)('/orders'))).toMatchObject({
      code: 'response-unsigned',
      status: 201,
      verified: false,
    });
  });

  it('that claims to be a refusal is thrown as a hint', async () => {
    const reaction = refusal('signature-invalid', 401, { signatureBase: '"@method": GET' });
    const peer = await startPeer(() => ({ ...reaction, unsigned: true }));
    expect(await rejection(clientOf(peer)('/orders'))).toMatchObject({
      code: 'signature-invalid',
      status: 401,
      verified: false,
      message: 'signature-invalid!',
      members: { signatureBase: '"@method": GET' },
    });
  });

  it.each([
    ['a code of our own side', refusal('timeout', 401)],
    ['no code of ours', refusal('moon-not-full', 401)],
    ['a status that refuses nothing', refusal('signature-invalid', 200)],
    ['a document that does not parse', { ...refusal('x', 502), body: Buffer.from('{') }],
    ['a document that is a list', { ...refusal('x', 502), body: Buffer.from('[]') }],
  ])('with %s is no hint', async (_, reaction) => {
    const peer = await startPeer(() => ({ ...reaction, unsigned: true }));
    expect(await rejection(clientOf(peer)('/orders'))).toMatchObject({
      code: 'response-unsigned',
      verified: false,
    });
  });
});

/** The whole answer as bytes on the wire. */
function wire({ status, lines, body }: Answer): Buffer {
  const head = [`HTTP/1.1 ${status} Created`, ...lines.map(([name, value]) => `${name}: ${value}`), '', ''];
  return Buffer.concat([Buffer.from(head.join('\r\n')), body]);
}

describe('one bit changed in flight', () => {
  it('anywhere in an answer is refused, or changes nothing that the caller sees', async () => {
    // Clock and nonce stand still, so that one recorded answer is right for every try.
    const clock = { now: () => NOW * 1000 };
    const nonce = () => 'a-nonce-that-stands-still';
    const whole = { ...ORDER, lines: [...(ORDER.lines ?? []), ['Date', 'today'] as const] };
    let recorded: Answer | undefined;

    let bytes: Buffer = Buffer.alloc(0);
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end(bytes));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const replay = clientOf({ url }, { clock, nonce, retries: 0, timeout: 5000 });

    // The answer is recorded at a peer, then signed for the address of the wire that changes it.
    const peer = await startPeer(
      ({ request }) => {
        const message = { ...request.message, authority: new URL(url).host };
        const moved = {
          ...request,
          message,
          covered: {
            ...request.covered,
            values: request.covered.values.map((value) => value.replace(peer.url, url)),
          },
        };
        recorded = sign(whole, moved, NOW);
        return echo({ request, body: Buffer.alloc(0), number: 1, connection: 1 }) as Reaction;
      },
      { now: () => NOW },
    );
    await clientOf(peer, { clock, nonce })('/orders');
    const right = wire(recorded as Answer);

    const seen = async () => {
      const response = await replay('/orders');
      return [response.status, response.statusText, [...response.headers], await response.text()];
    };
    bytes = right;
    const expected = await seen();
    expect(expected.slice(0, 2)).toEqual([201, 'Created']);

    let refused = 0;
    for (let at = 0; at < right.length; at++) {
      bytes = Buffer.from(right);
      bytes[at] = (bytes[at] as number) ^ (1 << (at % 7));
      const what = `bit ${at % 7} of byte ${at}, in ${JSON.stringify(right.toString('latin1', at - 12, at + 12))}`;
      try {
        expect(await seen(), what).toEqual(expected);
      } catch (error) {
        expect(['response-invalid', 'response-unsigned', 'connection-lost'], what).toContain(
          (error as ResponseError).code,
        );
        refused++;
      }
    }
    // What may differ unseen: the reason, the Date, and the case of names. The body may not.
    expect(refused).toBeGreaterThan(right.length * 0.8);
    expect(refused).toBeLessThan(right.length);
  });
});
