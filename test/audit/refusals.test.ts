/** Refusals after a good MAC: each has its row before its answer is sent, or is answered with store-unavailable. */
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AuditRow } from '../../src/audit/audit.ts';
import { RepeatedRefusals, ROWS_A_MINUTE } from '../../src/audit/repeated-refusals.ts';
import { UnverifiedCalls } from '../../src/audit/unverified-calls.ts';
import { CountersignError, type RefusalCode, refusalCodes } from '../../src/errors.ts';
import { recordRefusal } from '../../src/gateway/middleware/audit-refusal.ts';
import type { CommitGroup } from '../../src/storage/unit-of-work.ts';
import { startTestGateway, type TestGateway } from '../../src/testing.ts';
import { capturedLog, type LogLine } from '../gateway/captured-log.ts';
import { type PipelineUnderTest, signedRoute, startPipeline } from '../gateway/pipeline-under-test.ts';
import {
  bytesOf,
  Connection,
  type Draft,
  problem,
  type RawRequest,
  send,
  sign,
  verifyAnswer,
} from '../gateway/wire.ts';

let gateway: TestGateway;
let silent: Server;
let garbled: Server;
const log = capturedLog();

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
    logger: log.logger,
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
beforeEach(() => log.clear());

const signed = (draft: Draft = {}) => sign(gateway, gateway.credentials, draft);
const now = () => Math.floor(gateway.clock.now() / 1000);

/** The rows that were added by the work. */
async function rowsOf(work: () => Promise<unknown>): Promise<AuditRow[]> {
  const after = gateway.store.audit.head().seq;
  await work();
  return [...gateway.store.audit.rows({ after })];
}

/** Given before the MAC is known to be good, or because the store does not answer. */
const UNVERIFIED: ReadonlySet<string> = new Set([
  'request-malformed',
  'target-ambiguous',
  'headers-too-large',
  'origin-unknown',
  'overloaded',
  'signature-missing',
  'signature-malformed',
  'signature-policy',
  'signature-invalid',
  'store-unavailable',
]);

describe('a refusal after a good MAC', () => {
  interface Case {
    readonly code: RefusalCode;
    readonly route: string;
    readonly request: () => RawRequest | Promise<RawRequest>;
  }

  const cases: Case[] = [
    { code: 'signature-expired', route: 'echo', request: () => signed({ created: now() - 200 }) },
    { code: 'clock-skew', route: 'echo', request: () => signed({ created: now() + 100 }) },
    {
      code: 'nonce-replayed',
      route: 'echo',
      async request() {
        const request = signed();
        expect((await send(gateway, request)).status).toBe(200);
        return request;
      },
    },
    {
      code: 'key-inactive',
      route: 'echo',
      async request() {
        const key = await gateway.addConsumer('disabled');
        await gateway.store.commitGroup.run('disable', (tx) => tx.consumers.disable('disabled', 1));
        return sign(gateway, key);
      },
    },
    {
      code: 'digest-mismatch',
      route: 'echo',
      request: () => ({ ...signed({ body: '{"amount":10}' }), body: '{"amount":99}' }),
    },
    {
      code: 'role-missing',
      route: '/operators',
      request: () => signed({ method: 'GET', target: '/operators' }),
    },
    {
      code: 'not-found',
      route: 'not-found',
      request: () => signed({ method: 'GET', target: '/secret-path' }),
    },
    { code: 'method-not-allowed', route: 'method-not-allowed', request: () => signed({ method: 'GET' }) },
    {
      code: 'body-too-large',
      route: 'echo',
      request: () => signed({ body: JSON.stringify('x'.repeat(1000)) }),
    },
    { code: 'json-malformed', route: 'echo', request: () => signed({ body: '{"hello"' }) },
    {
      code: 'idempotency-key-invalid',
      route: 'echo',
      request: () => signed({ headers: [['Idempotency-Key', '"order-1"']] }),
    },
    { code: 'upstream-unreachable', route: '/dead', request: () => signed({ target: '/dead/of/night' }) },
    { code: 'upstream-timeout', route: '/slow', request: () => signed({ target: '/slow' }) },
    { code: 'upstream-invalid', route: '/garbled', request: () => signed({ target: '/garbled' }) },
  ];

  it.each(cases)(
    '$code has one row: who, what, why, and the id of its answer',
    async ({ code, route, request }) => {
      const made = await request();
      let requestId: string | undefined;
      const rows = await rowsOf(async () => {
        const answer = await send(gateway, made);
        expect(problem(answer).code).toBe(code);
        requestId = answer.headers.get('countersign-request-id');
      });
      const keyid = /keyid="([^"]+)"/.exec(bytesOf(made).toString())?.[1] as string;
      const { consumer } = gateway.store.consumers.findKey(keyid) as { consumer: { id: string } };
      expect(consumer.id).toMatch(/^[0-9a-f]{24}$/);
      expect(rows).toMatchObject([
        { actor: consumer.id, action: 'call.refused', subject: route, keyid, requestId, at: now() },
      ]);
      expect(JSON.parse(rows[0]?.detail as string)).toEqual({ code });
    },
  );

  it('of any other code has its row too, whatever stage or route it comes from', async () => {
    const tested = new Set<string>(cases.map(({ code }) => code));
    const others = refusalCodes.filter((code) => !tested.has(code) && !UNVERIFIED.has(code));
    const refuse = (code: RefusalCode) =>
      signedRoute(() => {
        throw new CountersignError(code, 'on purpose');
      });
    const pipeline = await startPipeline(
      gateway,
      Object.fromEntries(others.map((code) => [`/${code}`, { GET: refuse(code) }])),
    );
    const rows = await rowsOf(async () => {
      for (const code of others) {
        await send(pipeline, sign(pipeline, gateway.credentials, { method: 'GET', target: `/${code}` }));
      }
    });
    expect(rows.map(({ detail }) => JSON.parse(detail as string).code)).toEqual(others);
    await pipeline.close();
  });

  it('that comes of an answer which can not be signed has its row', async () => {
    const route = signedRoute((ctx) => {
      ctx.set('ETag', '"caf\xe9"');
      ctx.body = 'x';
    });
    const pipeline = await startPipeline(gateway, { '/x': { GET: route } });
    const request = sign(pipeline, gateway.credentials, { method: 'GET', target: '/x' });
    const rows = await rowsOf(async () => {
      const answer = await send(pipeline, request);
      expect(problem(answer).code).toBe('internal-error');
      verifyAnswer(answer, request, gateway.credentials);
    });
    expect(rows).toMatchObject([{ action: 'call.refused', detail: '{"code":"internal-error"}' }]);
    await pipeline.close();
  });

  it('holds nothing of path, query, header fields, body, nonce or address', async () => {
    const rows = await rowsOf(() =>
      send(
        gateway,
        signed({
          target: '/v1/nowhere-private/janedoe?email=janedoe@example.org',
          body: '{"name":"Janedoe Private"}',
          headers: [['X-Email', 'janedoe@example.org']],
          nonce: 'a-nonce-that-is-nobodys-business',
        }),
      ),
    );
    expect(rows).toHaveLength(1);
    expect(JSON.stringify(rows)).not.toMatch(/private|janedoe|example|nobodys|127\.0\.0\.1/i);
  });
});

describe('no row', () => {
  it.each<[string, () => RawRequest]>([
    ['a call that is served', () => signed()],
    ['a call without a good MAC', () => sign(gateway, { ...gateway.credentials, keyid: 'nobody.x' })],
  ])('is written for %s', async (_what, request) => {
    expect(await rowsOf(() => send(gateway, request()))).toEqual([]);
  });
});

describe('many refusals at once', () => {
  it('have a row each, in fewer commits than rows', async () => {
    const metrics = async () => {
      const page = await (await fetch(`${gateway.url}/metrics`)).text();
      return Number(/^countersign_commit_size_count (\d+)$/m.exec(page)?.[1]);
    };
    // As many of each key as have a row of their own.
    const requests = await Promise.all(
      Array.from({ length: 10 }, async (_, i) => sign(gateway, await gateway.addConsumer(`busy-${i}`))),
    );
    await Promise.all(requests.map((request) => send(gateway, request)));
    const before = await metrics();
    const copies = requests.flatMap((request) => Array.from({ length: ROWS_A_MINUTE }, () => request));
    const rows = await rowsOf(() => Promise.all(copies.map((request) => send(gateway, request))));
    const commits = (await metrics()) - before;
    expect(rows).toHaveLength(200);
    expect(new Set(rows.map(({ requestId }) => requestId)).size).toBe(200);
    // Of claims and of rows together.
    expect(commits).toBeLessThan(300);
  });
});

describe('a caller who goes away', () => {
  it('after it has sent its message loses no row', async () => {
    const key = await gateway.addConsumer('hasty');
    const requests = Array.from({ length: ROWS_A_MINUTE }, (_, i) =>
      sign(gateway, key, { method: 'GET', target: `/nowhere-${i}` }),
    );
    const rows = await rowsOf(async () => {
      for (const request of requests) {
        const connection = await Connection.open(gateway.port);
        connection.write(bytesOf(request));
        connection.end();
      }
      await log.until('call', requests.length);
    });
    expect(rows.map(({ detail }) => detail)).toEqual(requests.map(() => '{"code":"not-found"}'));
  });

  it('amid its body has a row: its nonce was used', async () => {
    const rows = await rowsOf(async () => {
      const connection = await Connection.open(gateway.port);
      connection.write(bytesOf(signed()).subarray(0, -3));
      connection.end();
      await log.until('call', 1);
    });
    expect(rows).toMatchObject([{ subject: 'echo', detail: '{"code":"connection-lost"}' }]);
  });
});

describe('a row that can not be written', () => {
  /** A pipeline whose store takes claims but no rows. */
  async function unrecording(failure: unknown): Promise<PipelineUnderTest> {
    const commitGroup: CommitGroup = { run: () => Promise.reject(failure) };
    const record = recordRefusal({
      commitGroup,
      unverified: new UnverifiedCalls(),
      repeated: new RepeatedRefusals(),
      logger: log.logger,
    });
    const broken = signedRoute(() => {
      throw new TypeError('a defect of the route');
    });
    return startPipeline(gateway, { '/broken': { GET: broken } }, { record });
  }

  it.each([
    [
      'the store does not answer',
      new CountersignError('store-unavailable', 'no', { cause: new Error('disk full') }),
    ],
    ['anything else is wrong', new TypeError('disk full')],
  ])(
    'where %s: 503 store-unavailable, signed, of unknown outcome, instead of the refusal',
    async (_why, failure) => {
      const pipeline = await unrecording(failure);
      const request = sign(pipeline, gateway.credentials, { method: 'GET', target: '/nowhere' });
      const answer = await send(pipeline, request);
      expect(answer.status).toBe(503);
      expect(problem(answer)).toMatchObject({ code: 'store-unavailable', outcome: 'unknown' });
      expect(answer.headers.get('retry-after')).toBe('1');
      expect(answer.headers.get('countersign-refusal')).toBe('store-unavailable');
      expect(answer.body).not.toContain('disk full');
      verifyAnswer(answer, request, gateway.credentials);
      await pipeline.close();
    },
  );

  it('hides nothing from the log: neither why it can not be written nor what was refused', async () => {
    const pipeline = await unrecording(new Error('disk full'));
    await send(pipeline, sign(pipeline, gateway.credentials, { method: 'GET', target: '/broken' }));
    const reason = (lines: readonly LogLine[], message: string) =>
      JSON.stringify(lines.find(({ msg }) => msg === message)?.err);
    expect(reason(pipeline.log.lines, 'store-unavailable')).toContain('disk full');
    expect(reason(log.lines, 'a refusal could not be recorded')).toContain('a defect of the route');
    await pipeline.close();
  });

  it('since another process holds the lock: even an expired message is not refused', async () => {
    const other = new Sqlite(join(gateway.folder, 'data', 'countersign.db'));
    other.exec('BEGIN IMMEDIATE');
    const request = signed({ created: now() - 200 });
    const rows = await rowsOf(async () => {
      expect(problem(await send(gateway, request)).code).toBe('store-unavailable');
      other.exec('ROLLBACK');
      other.close();
      expect(problem(await send(gateway, request)).code).toBe('signature-expired');
    });
    expect(rows).toHaveLength(1);
  });

  it('since a trigger swallows it: 503 as well', async () => {
    const other = new Sqlite(join(gateway.folder, 'data', 'countersign.db'));
    const key = await gateway.addConsumer('hushed');
    other.exec('CREATE TRIGGER hush BEFORE INSERT ON audit BEGIN SELECT RAISE(IGNORE); END');
    const answer = await send(gateway, sign(gateway, key, { method: 'GET', target: '/nowhere' }));
    other.exec('DROP TRIGGER hush');
    other.close();
    expect(problem(answer).code).toBe('store-unavailable');
  });
});
