/**
 * The table of refusals as a table: each code is provoked over the wire, with its status, and signed or not.
 */

import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refusalCodes } from '../../src/errors.ts';
import { refusalStatus } from '../../src/gateway/refusals.ts';
import { startTestGateway, type TestGateway } from '../../src/testing.ts';
import {
  type Answer,
  bytesOf,
  type Draft,
  problem,
  type RawRequest,
  send,
  sendBytes,
  sign,
  verifyAnswer,
} from './wire.ts';

let gateway: TestGateway;
let silent: Server;
let garbled: Server;

/** A port where nothing listens: it was free a moment ago, and is closed again. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

beforeAll(async () => {
  silent = createServer(() => {}).listen(0, '127.0.0.1');
  garbled = createHttpServer((req) => {
    req.resume().on('end', () => req.socket.end('no HTTP at all\r\n\r\n'));
  }).listen(0, '127.0.0.1');
  await Promise.all([once(silent, 'listening'), once(garbled, 'listening')]);
  const at = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  gateway = await startTestGateway({
    settings: {
      limits: { body: 1000 },
      routes: [
        { path: '/dead', upstream: `http://127.0.0.1:${await closedPort()}`, role: 'any' },
        { path: '/slow', upstream: at(silent), role: 'any', timeout: 0.1 },
        { path: '/garbled', upstream: at(garbled), role: 'any' },
        { path: '/operators', upstream: at(silent), role: 'operator' },
      ],
    },
  });
});

afterAll(async () => {
  await gateway.close();
  for (const server of [silent, garbled]) server.close();
});

const signed = (draft: Draft = {}) => sign(gateway, gateway.credentials, draft);

/** The signed request with one part replaced after signing. */
function changed(draft: Draft, change: (request: RawRequest) => void): RawRequest {
  const request = signed(draft);
  change(request);
  return request;
}

const field = (request: RawRequest, name: string) =>
  request.headers.find(([each]) => each === name) as [string, string];

interface Row {
  readonly code: string;
  readonly when: string;
  readonly signed: boolean;
  readonly request: () => RawRequest | Promise<RawRequest>;
}

let disabled = 0;

const rows: Row[] = [
  {
    code: 'request-malformed',
    when: 'Host is repeated',
    signed: false,
    request: () => changed({}, ({ headers }) => headers.push(['Host', 'elsewhere.example'])),
  },
  {
    code: 'request-malformed',
    when: 'there is no Host',
    signed: false,
    request: () => changed({}, ({ headers }) => headers.shift()),
  },
  {
    code: 'request-malformed',
    when: 'a field holds Latin-1 bytes',
    signed: false,
    request: () => changed({}, ({ headers }) => headers.push(['X-Name', 'Jos\xe9'])),
  },
  {
    code: 'target-ambiguous',
    when: 'the path has an encoded dot segment',
    signed: false,
    request: () => signed({ target: '/dead/%2e%2e/operators' }),
  },
  {
    code: 'target-ambiguous',
    when: 'the target is in absolute form',
    signed: false,
    request: () => signed({ target: 'http://127.0.0.1/v1/echo' }),
  },
  {
    code: 'headers-too-large',
    when: 'there are more than 100 fields',
    signed: false,
    request: () =>
      changed({}, ({ headers }) => {
        for (let i = 0; i < 100; i++) headers.push([`X-${i}`, 'y']);
      }),
  },
  {
    code: 'headers-too-large',
    when: 'the header section exceeds 16 KiB',
    signed: false,
    request: () => changed({}, ({ headers }) => headers.push(['X-Long', 'y'.repeat(17_000)])),
  },
  {
    code: 'origin-unknown',
    when: 'Host is another origin',
    signed: false,
    request: () => signed({ host: 'elsewhere.example' }),
  },
  {
    code: 'signature-missing',
    when: 'there is no signature',
    signed: false,
    request: () =>
      changed({}, (request) => {
        request.headers = request.headers.filter(([name]) => !name.startsWith('Signature'));
      }),
  },
  {
    code: 'signature-malformed',
    when: 'Signature-Input does not parse',
    signed: false,
    request: () =>
      changed({}, (request) => {
        field(request, 'Signature-Input')[1] += ';;';
      }),
  },
  {
    code: 'signature-policy',
    when: 'the method is not covered',
    signed: false,
    request: () => signed({ method: 'GET', target: '/v1/whoami', cover: ['@target-uri'] }),
  },
  {
    code: 'signature-policy',
    when: 'the caller poses as a gateway',
    signed: false,
    request: () => changed({}, ({ headers }) => headers.push(['Countersign_Roles', 'operator'])),
  },
  {
    code: 'signature-invalid',
    when: 'the keyid is unknown',
    signed: false,
    request: () => sign(gateway, { ...gateway.credentials, keyid: 'nobody.aaaaaaaaaaaa' }),
  },
  {
    code: 'signature-invalid',
    when: 'the target was changed',
    signed: false,
    request: () =>
      changed({ method: 'GET', target: '/v1/whoami' }, (request) => {
        request.line = request.line.replace('whoami', 'whoamI');
      }),
  },
  {
    code: 'signature-expired',
    when: 'the message is old',
    signed: true,
    request: () => signed({ created: Math.floor(gateway.clock.now() / 1000) - 200 }),
  },
  {
    code: 'clock-skew',
    when: 'the message is from the future',
    signed: true,
    request: () => signed({ created: Math.floor(gateway.clock.now() / 1000) + 100 }),
  },
  {
    code: 'nonce-replayed',
    when: 'the message was sent before',
    signed: true,
    async request() {
      const request = signed();
      expect((await send(gateway, request)).status).toBe(200);
      return request;
    },
  },
  {
    code: 'key-inactive',
    when: 'the consumer is disabled',
    signed: true,
    async request() {
      const name = `disabled-${++disabled}`;
      const key = await gateway.addConsumer(name);
      await gateway.store.commitGroup.run('disable', (tx) => tx.consumers.disable(name, 1));
      return sign(gateway, key);
    },
  },
  {
    code: 'digest-mismatch',
    when: 'the body was changed',
    signed: true,
    request: () =>
      changed({ body: '{"amount":10}' }, (request) => {
        request.body = '{"amount":99}';
      }),
  },
  {
    code: 'role-missing',
    when: 'the route asks for a role that the key lacks',
    signed: true,
    request: () => signed({ method: 'GET', target: '/operators' }),
  },
  {
    code: 'role-missing',
    when: 'a call is narrowed to a role that the key lacks',
    signed: true,
    request: () =>
      signed({ method: 'GET', target: '/v1/whoami', headers: [['Countersign-Narrow', 'operator']] }),
  },
  {
    code: 'not-found',
    when: 'the path leads nowhere',
    signed: true,
    request: () => signed({ method: 'GET', target: '/nowhere' }),
  },
  {
    code: 'method-not-allowed',
    when: 'the path has other methods',
    signed: true,
    request: () => signed({ method: 'GET' }),
  },
  {
    code: 'body-too-large',
    when: 'the body exceeds the limit',
    signed: true,
    request: () => signed({ body: JSON.stringify('x'.repeat(1000)) }),
  },
  {
    code: 'json-malformed',
    when: 'the body is no JSON',
    signed: true,
    request: () => signed({ body: '{"hello"' }),
  },
  {
    code: 'idempotency-key-invalid',
    when: 'the route keeps no results',
    signed: true,
    request: () => signed({ headers: [['Idempotency-Key', '"order-1"']] }),
  },
  {
    code: 'upstream-unreachable',
    when: 'nothing listens there',
    signed: true,
    request: () => signed({ target: '/dead' }),
  },
  {
    code: 'upstream-timeout',
    when: 'nothing answers there',
    signed: true,
    request: () => signed({ target: '/slow' }),
  },
  {
    code: 'upstream-invalid',
    when: 'what answers is no HTTP',
    signed: true,
    request: () => signed({ target: '/garbled' }),
  },
];

function expectRefusal(answer: Answer, code: string): void {
  expect(problem(answer)).toMatchObject({ code, status: answer.status, type: `README.md#${code}` });
  expect(answer.status).toBe(refusalStatus[code as keyof typeof refusalStatus]);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  expect(answer.headers.get('countersign-refusal')).toBe(code);
  expect(answer.headers.get('cache-control')).toBe('no-store, no-transform');
  expect(problem(answer).detail.length).toBeGreaterThan(20);
}

describe('each refusal', () => {
  it.each(rows)('$code: $when', async ({ code, signed: isSigned, request: make }) => {
    const request = await make();
    const answer = await send(gateway, request);
    expectRefusal(answer, code);
    if (isSigned) {
      const covered = verifyAnswer(answer, request, keyOf(request));
      expect(covered).toEqual(
        expect.arrayContaining(['"@status"', '"content-digest"', '"countersign-refusal"']),
      );
    } else expect(answer.headers.has('signature')).toBe(false);
  });

  it('stands in this table, or has a test of its own', () => {
    const elsewhere = [
      'rate-limited',
      'overloaded',
      'store-unavailable',
      'internal-error',
      // On the management API and its endpoints.
      'key-forbidden',
      'conflict',
      'precondition-failed',
      'validation-failed',
      'idempotency-key-missing',
      'idempotency-in-flight',
      'idempotency-mismatch',
      'outcome-unknown',
      // People's: middleware/authenticate-person.test.ts.
      'token-invalid',
      'login-failed',
      'csrf',
    ];
    expect([...new Set(rows.map(({ code }) => code)), ...elsewhere].sort()).toEqual([...refusalCodes].sort());
  });
});

/** The key that a request names: the demo key, or one that was added for it. */
function keyOf(request: RawRequest) {
  const keyid = /keyid="([^"]+)"/.exec(field(request, 'Signature-Input')[1])?.[1] ?? '';
  if (keyid === gateway.credentials.keyid) return gateway.credentials;
  const found = gateway.store.consumers.findKey(keyid);
  if (!found) throw new Error(`no key ${keyid}`);
  return { keyid, secret: gateway.store.vault.open('key', keyid, found.key.sealedSecret).toString('base64') };
}

describe('a signed answer is final for its message', () => {
  it.each(rows.filter((row) => row.signed && !['signature-expired', 'nonce-replayed'].includes(row.code)))(
    'after $code ($when) the same message is a replay',
    async ({ request: make }) => {
      const request = await make();
      await send(gateway, request);
      expectRefusal(await send(gateway, request), 'nonce-replayed');
    },
  );

  it('refuses the original of a message whose damaged copy was refused', async () => {
    const original = signed({ body: '{"amount":10}' });
    const damaged = { ...original, body: '{"amount":99}' };
    expectRefusal(await send(gateway, damaged), 'digest-mismatch');
    expectRefusal(await send(gateway, original), 'nonce-replayed');
  });

  it('leaves the original good where the copy had no good MAC', async () => {
    const original = signed();
    const damaged: RawRequest = {
      ...original,
      headers: original.headers.map(([name, value]) => [name, value]),
    };
    field(damaged, 'Content-Digest')[1] = field(damaged, 'Content-Digest')[1]
      .replace(/:./, ':_')
      .replace('_', 'A');
    field(damaged, 'Content-Type')[1] = 'text/plain';
    expectRefusal(await send(gateway, damaged), 'signature-invalid');
    expect((await send(gateway, original)).status).toBe(200);
  });

  it('does not use up the nonce of an expired message, which can never become good', async () => {
    const request = signed({ created: Math.floor(gateway.clock.now() / 1000) - 200 });
    expectRefusal(await send(gateway, request), 'signature-expired');
    expectRefusal(await send(gateway, request), 'signature-expired');
  });
});

describe('what a refusal says', () => {
  it('asks an unsigned call to sign, and how', async () => {
    const answer = await sendBytes(
      gateway.port,
      bytesOf({
        line: 'GET /v1/whoami HTTP/1.1',
        headers: [['Host', `127.0.0.1:${gateway.port}`]],
        body: '',
      }),
    );
    expectRefusal(answer, 'signature-missing');
    expect(answer.headers.get('accept-signature')).toContain('tag="countersign-request-v1"');
    expect(answer.headers.get('www-authenticate')).toContain('Signature');
  });

  it.each(['signature-expired', 'clock-skew'])('%s tells the time', async (code) => {
    const row = rows.find((each) => each.code === code) as Row;
    const answer = await send(gateway, await row.request());
    expect(problem(answer)['server-time']).toBe(Math.floor(gateway.clock.now() / 1000));
  });

  it('shows the signature base with a bad MAC, and nothing that the sender did not send', async () => {
    const request = changed({ headers: [['Authorization', 'Bearer of-a-secret']] }, (raw) => {
      field(raw, 'Content-Type')[1] = 'text/plain';
    });
    const { signatureBase } = problem(await send(gateway, request));
    expect(signatureBase).toContain('"content-type": text/plain');
    expect(signatureBase).toContain('"authorization": <18 bytes>');
    expect(signatureBase).not.toContain('of-a-secret');
  });

  it('is the same for an unknown key as for a bad MAC', async () => {
    const known = changed({ nonce: 'n'.repeat(24) }, (raw) => {
      field(raw, 'Signature')[1] = `cs=:${Buffer.alloc(32).toString('base64')}:`;
    });
    const unknown = {
      ...known,
      headers: known.headers.map(
        ([name, value]) =>
          [name, value.replace(gateway.credentials.keyid, 'x'.repeat(gateway.credentials.keyid.length))] as [
            string,
            string,
          ],
      ),
    };
    const [one, other] = [problem(await send(gateway, known)), problem(await send(gateway, unknown))];
    const { signatureBase: _one, ...restOfOne } = one;
    const { signatureBase: _other, ...restOfOther } = other;
    expect(restOfOther).toEqual(restOfOne);
    expect(String(other.signatureBase).replace(/keyid="x+"/, '')).toBe(
      String(one.signatureBase).replace(/keyid="[^"]+"/, ''),
    );
  });

  it('names the allowed methods with 405', async () => {
    const answer = await send(gateway, signed({ method: 'DELETE', target: '/v1/whoami' }));
    expect(answer.headers.get('allow')).toBe('GET, HEAD');
  });

  it('closes the connection after 413, whether the length was told or not', async () => {
    const body = JSON.stringify('x'.repeat(2000));
    const told = await send(gateway, signed({ body }));
    expect(told.headers.get('connection')).toBe('close');
    const chunked = changed({ body }, (request) => {
      field(request, 'Content-Length').splice(0, 2, 'Transfer-Encoding', 'chunked');
      request.body = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
    });
    const untold = await send(gateway, chunked);
    expectRefusal(untold, 'body-too-large');
    expect(untold.headers.get('connection')).toBe('close');
    verifyAnswer(untold, chunked, gateway.credentials);
  });
});
