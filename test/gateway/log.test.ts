/** The log and the metrics: what an operator needs of each call, and nothing that a caller would keep to itself. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestGateway, type TestGateway } from '../../src/testing.ts';
import { capturedLog } from './captured-log.ts';
import { type Draft, type RawRequest, send, sendBytes, sign, tryBytes } from './wire.ts';

let gateway: TestGateway;
const log = capturedLog();

beforeAll(async () => {
  gateway = await startTestGateway({
    logger: log.logger,
    settings: { routes: [{ path: '/dead', upstream: 'http://127.0.0.1:9', role: 'any' }] },
  });
});
afterAll(() => gateway.close());
beforeEach(() => log.clear());

const signed = (draft: Draft = {}) => sign(gateway, gateway.credentials, draft);
const unsigned = (target: string, ...fields: [string, string][]): RawRequest => ({
  line: `GET ${target} HTTP/1.1`,
  headers: [['Host', `127.0.0.1:${gateway.port}`], ...fields],
  body: '',
});

describe('a call', () => {
  it('makes one line, with who called and what was decided', async () => {
    const answer = await send(gateway, signed());
    // Of calls alone: each minute the gateway may tell of its audit record.
    expect(log.calls).toEqual([
      {
        level: 30,
        time: expect.any(Number),
        requestId: answer.headers.get('countersign-request-id'),
        method: 'POST',
        path: '/v1/echo',
        status: 200,
        code: 'ok',
        keyid: gateway.credentials.keyid,
        consumer: 'demo',
        address: '127.0.0.1',
        ms: expect.any(Number),
        msg: 'call',
      },
    ]);
    expect(log.calls[0]?.ms).toBeGreaterThan(0);
  });

  it.each<[string, () => RawRequest, Record<string, unknown>]>([
    [
      'refused before its key is known',
      () => signed({ host: 'elsewhere.example' }),
      { code: 'origin-unknown', status: 421, keyid: undefined },
    ],
    [
      'without a signature',
      () => unsigned('/v1/whoami'),
      { code: 'signature-missing', status: 401, keyid: undefined },
    ],
    [
      'with a keyid that nobody has proved',
      () => sign(gateway, { ...gateway.credentials, secret: Buffer.alloc(64).toString('base64') }),
      { code: 'signature-invalid', status: 401, keyid: undefined, consumer: undefined },
    ],
    [
      'refused after a good MAC',
      () => signed({ method: 'GET', target: '/nowhere' }),
      { code: 'not-found', status: 404, consumer: 'demo' },
    ],
    [
      'that is too old',
      () => signed({ created: Math.floor(gateway.clock.now() / 1000) - 200 }),
      { code: 'signature-expired', status: 401, consumer: 'demo' },
    ],
    ['that needs no signature', () => unsigned('/v1/ping'), { code: 'ok', status: 200, keyid: undefined }],
  ])('%s makes one line', async (_what, request, line) => {
    await send(gateway, request());
    expect(log.calls).toHaveLength(1);
    for (const [name, value] of Object.entries(line)) expect(log.calls[0]?.[name]).toEqual(value);
    expect(log.calls[0]).toMatchObject({
      msg: 'call',
      requestId: expect.stringMatching(/^.{8}-\w+$/),
      ms: expect.any(Number),
    });
  });

  it('has an id of its own', async () => {
    await Promise.all(Array.from({ length: 20 }, () => send(gateway, signed())));
    expect(new Set(log.calls.map(({ requestId }) => requestId)).size).toBe(20);
  });

  it('of a probe makes none', async () => {
    await send(gateway, unsigned('/healthz'));
    await send(gateway, unsigned('/readyz'));
    expect(log.calls).toEqual([]);
  });

  it('names nobody by an e-mail address that stands in the path', async () => {
    for (const address of ['ada@example.org', 'ada%40example.org', 'ADA@example']) {
      await send(gateway, unsigned(`/v1/accounts/${address}/logout`));
    }
    await send(gateway, unsigned('/packages/@scope/name'));
    const seen = '/v1/accounts/<e-mail>/logout';
    expect(log.calls.map(({ path }) => path)).toEqual([seen, seen, seen, '/packages/@scope/name']);
  });

  it('cannot forge a line, nor make one of any length', async () => {
    await send(gateway, unsigned(`/${'x'.repeat(5000)}`));
    await send(gateway, unsigned('/","level":60,"x":"%22'));
    await send(gateway, unsigned('/\x7b"code":"ok"\x7d'));
    expect(log.calls).toHaveLength(3);
    expect(String(log.calls[0]?.path)).toHaveLength(256);
    for (const line of log.calls) expect(line).toMatchObject({ level: 30, msg: 'call' });
  });
});

describe('secrets', () => {
  const SECRET = 'xyzzy-of-a-secret';

  /** Calls that carry it wherever a caller may put one, good ones and refused ones of every kind. */
  function calls(): RawRequest[] {
    const everywhere: [string, string][] = [
      ['Authorization', `Bearer ${SECRET}`],
      ['Cookie', `session=${SECRET}`],
      ['X-Api-Key', SECRET],
      ['User-Agent', SECRET],
      ['Accept', `text/html;${SECRET}`],
    ];
    const body = JSON.stringify({ password: SECRET });
    const query = `?token=${SECRET}`;
    const draft = { headers: everywhere, body };
    const damaged = (draft: Draft, change: (request: RawRequest) => void) => {
      const request = signed(draft);
      change(request);
      return request;
    };
    const now = Math.floor(gateway.clock.now() / 1000);
    const replayed = signed(draft);
    return [
      signed({ ...draft, target: `/v1/echo${query}` }),
      replayed,
      replayed,
      damaged(draft, (request) => {
        request.body = request.body.replace('password', 'passw0rd');
      }),
      damaged(draft, (request) => {
        request.headers = request.headers.map(([name, value]) => [name, value.replace('Bearer', 'bearer')]);
      }),
      damaged(draft, (request) => request.headers.push(['Idempotency-Key', SECRET])),
      damaged(draft, (request) => request.headers.push(['Countersign-Roles', SECRET])),
      damaged(draft, (request) => request.headers.push(['Host', SECRET])),
      damaged(draft, (request) => request.headers.push(['X', `\xe9${SECRET}`])),
      damaged(draft, (request) => {
        request.headers[0] = ['Host', `${SECRET}.example`];
      }),
      damaged(draft, (request) => request.headers.push(['Connection', SECRET])),
      damaged(draft, (request) => request.headers.push(['Expect', SECRET])),
      damaged(draft, (request) => request.headers.push(['Signature-Input', SECRET])),
      damaged(draft, (request) => request.headers.push(['X-Long', SECRET.repeat(1000)])),
      damaged(draft, (request) => {
        request.line = `GET http://user:${SECRET}@127.0.0.1/?${SECRET} HTTP/1.1`;
      }),
      damaged(draft, (request) => {
        request.line = `GET /#${SECRET} HTTP/9.9`;
      }),
      damaged(draft, (request) => {
        request.headers = request.headers.filter(([name]) => !name.startsWith('Signature'));
      }),
      signed({ ...draft, body: `{${body}` }),
      signed({ ...draft, created: now - 200 }),
      signed({ ...draft, created: now + 100 }),
      signed({ ...draft, headers: [...everywhere, ['Idempotency-Key', `"${SECRET}"`]] }),
      signed({ ...draft, headers: [...everywhere, ['Countersign-Narrow', SECRET]] }),
      signed({ ...draft, target: `/nowhere${query}` }),
      signed({ ...draft, target: `/v1/whoami${query}` }),
      signed({ ...draft, target: `/dead${query}` }),
      signed({ ...draft, method: 'GET', target: `/v1/ping${query}`, body: '' }),
      sign(gateway, { ...gateway.credentials, keyid: SECRET }, draft),
      unsigned(`/v1/ping${query}`, ...everywhere),
      unsigned(`/nowhere/x${query}`, ...everywhere),
    ];
  }

  it('are in no line: not those of callers, nor signatures, nonces and digests', async () => {
    const sent = calls();
    const codes = new Map<string, number>();
    for (const request of sent) {
      const answer = await send(gateway, request);
      // A browser gets a page where nothing is served.
      const code = answer.headers.get('countersign-refusal') ?? 'ok';
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    // The run has met them all.
    expect([...codes.keys()].sort()).toEqual([
      'clock-skew',
      'digest-mismatch',
      'headers-too-large',
      'idempotency-key-invalid',
      'json-malformed',
      'method-not-allowed',
      'nonce-replayed',
      'not-found',
      'ok',
      'origin-unknown',
      'request-malformed',
      'role-missing',
      'signature-expired',
      'signature-invalid',
      'signature-malformed',
      'signature-missing',
      'signature-policy',
      'target-ambiguous',
      'upstream-unreachable',
    ]);
    expect(log.lines.filter(({ code }) => code !== undefined)).toHaveLength(sent.length);

    const text = log.text();
    const kept = new Set([SECRET, gateway.credentials.secret, 'password', 'token=', 'Bearer', 'session=']);
    for (const { headers } of sent) {
      for (const [name, value] of headers) {
        if (name === 'Signature') kept.add(value).add(value.slice(4, 40));
        if (name === 'Signature-Input') kept.add(/nonce="([^"]+)"/.exec(value)?.[1] ?? value);
        if (name === 'Content-Digest') kept.add(value.slice(9, 40));
      }
    }
    expect([...kept].filter((each) => text.includes(each))).toEqual([]);
  });

  it('are in no metric', async () => {
    for (const request of calls()) await send(gateway, request);
    const { body } = await send(gateway, unsigned('/metrics'));
    expect(body).not.toContain(SECRET);
    expect(body).not.toContain(gateway.credentials.secret);
    // A keyid is no secret; it stands where an operator must know which key is about to end, and nowhere else.
    const named = body.split('\n').filter((line) => line.includes(gateway.credentials.keyid));
    expect(named.every((line) => line.startsWith('countersign_key_days_left{'))).toBe(true);
  });
});

describe('metrics', () => {
  const read = async () => {
    const { body, headers } = await send(gateway, unsigned('/metrics'));
    expect(headers.get('content-type')).toContain('text/plain');
    return (name: string) =>
      Number(new RegExp(`^${name.replace(/[{}"]/g, '\\$&')} (.*)$`, 'm').exec(body)?.[1] ?? 0);
  };

  it('count calls by their code, durations, commits and nonces', async () => {
    const before = await read();
    const request = signed();
    await send(gateway, request);
    await send(gateway, request);
    await send(gateway, signed());
    await send(gateway, unsigned('/v1/whoami'));
    await tryBytes(gateway.port, 'no HTTP\r\n\r\n');
    const after = await read();
    const grown = (name: string) => after(name) - before(name);
    // The page that was read before is a call as well.
    expect(grown('countersign_calls_total{code="ok"}')).toBe(3);
    expect(grown('countersign_calls_total{code="nonce-replayed"}')).toBe(1);
    expect(grown('countersign_calls_total{code="signature-missing"}')).toBe(1);
    expect(grown('countersign_calls_total{code="request-malformed"}')).toBe(1);
    expect(grown('countersign_call_duration_seconds_count')).toBe(5);
    expect(grown('countersign_commit_size_sum')).toBe(4);
    // Three claims, and the row of the refusal.
    expect(grown('countersign_commit_duration_seconds_count')).toBe(4);
    expect(grown('countersign_nonces_held')).toBe(2);
    expect(grown('countersign_store_errors_total')).toBe(0);
  });

  it('tell of the event loop and the process', async () => {
    const value = await read();
    expect(value('process_resident_memory_bytes')).toBeGreaterThan(0);
    const { body } = await send(gateway, unsigned('/metrics'));
    expect(body).toContain('nodejs_eventloop_lag_seconds');
  });

  it('are a page that HEAD can ask for, and nothing else', async () => {
    const host = `Host: 127.0.0.1:${gateway.port}\r\n\r\n`;
    expect((await sendBytes(gateway.port, `HEAD /metrics HTTP/1.1\r\n${host}`, 'HEAD')).status).toBe(200);
    const answer = await sendBytes(gateway.port, `DELETE /metrics HTTP/1.1\r\n${host}`);
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')).toBe('GET, HEAD');
  });
});
