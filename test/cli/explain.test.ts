/**
 * `countersign explain`, typed against a real gateway behind a proxy that makes each mistake: it names the cause.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { contentDigest } from '../../src/signatures/index.ts';
import { startTestGateway, TestClock, type TestGateway } from '../../src/testing.ts';
import { countersign, endAll, type Outcome, temporaryFolder } from '../e2e/processes.ts';
import { bytesOf, type Draft, type Key, type RawRequest, send, sign } from '../gateway/wire.ts';
import { type Mistake, startTestProxy, type TestProxy, withField } from './test-proxy.ts';

const INTERNAL = 'gateway.internal';

let folder: string;
let proxy: TestProxy;
let gateway: TestGateway;
let key: Key;
let files = 0;
/** Everything that was printed, to be searched for the secret. */
let printed: Outcome[] = [];

beforeAll(async () => {
  folder = temporaryFolder();
  proxy = await startTestProxy();
  const origins = [`http://127.0.0.1:${proxy.port}`, `http://${INTERNAL}`];
  gateway = await startTestGateway({ clock: new TestClock(), settings: { origins } });
  proxy.forwardTo = gateway.port;
  const { keyid, secret } = gateway.credentials;
  key = { keyid, secret };
});

afterAll(async () => {
  await endAll();
  await gateway.close();
  await proxy.close();
});

beforeEach(() => {
  proxy.mistake = () => ({});
  gateway.clock.advance((Date.now() - gateway.clock.now()) / 1000);
});

afterEach(() => {
  const hex = Buffer.from(key.secret, 'base64').toString('hex');
  for (const { stdout, stderr } of printed) {
    expect(stdout + stderr).not.toContain(key.secret.slice(0, 20));
    expect(stdout + stderr).not.toContain(hex.slice(0, 20));
  }
  printed = [];
});

const throughProxy = () => ({ port: proxy.port, clock: Date });

/** A request for the proxy's origin, signed by the clock of this machine. */
function signed(draft: Draft = {}, by: Key = key): RawRequest {
  return sign(throughProxy(), by, draft);
}

function file(content: Buffer | string | object): string {
  const path = join(folder, `file-${files++}`);
  const isBytes = typeof content === 'string' || Buffer.isBuffer(content);
  writeFileSync(path, isBytes ? content : JSON.stringify(content), { mode: 0o600 });
  return path;
}

async function explained(request: Buffer | string | object, args: readonly string[] = [], by: Key = key) {
  const outcome = await countersign(['explain', '--credentials', file(by), file(request), ...args]).ended;
  printed.push(outcome);
  return outcome;
}

interface Explained {
  readonly code: number | null;
  readonly components: { id: string; ours: string | null; gateway: string | null; verdict: string }[];
  readonly firstDifference: { id: string; line: number; column: number | null } | null;
  readonly causes: { code: string; detail: string }[];
  readonly gateway: { source: string; status: number; code: string | null } | null;
  readonly macHolds: boolean | null;
  readonly notes: string[];
}

async function explainedJson(...[request, args = [], by]: Parameters<typeof explained>): Promise<Explained> {
  const { code, stdout, stderr } = await explained(request, [...args, '--json'], by);
  expect(stderr).toBe('');
  return { code, ...JSON.parse(stdout) };
}

const codes = ({ causes }: Explained) => causes.map(({ code }) => code);

const serialisedAnew: Mistake = ({ body, lines }) => {
  const changed = Buffer.from(JSON.stringify(JSON.parse(body.toString()), null, 2));
  return { body: changed, lines: withField(lines, 'content-length', () => String(changed.length)) };
};

interface Case {
  readonly mistake: Mistake;
  readonly draft?: Draft;
  readonly cause: string;
  /** The gateway's own refusal. */
  readonly refusal: string;
  readonly differs?: string;
}

const GET = { method: 'GET', target: '/v1/whoami' };
const NOTE = {
  ...GET,
  headers: [['X-Note', 'tea  and milk']],
  cover: ['@method', '@target-uri', 'x-note'],
} as const;
const TAGS = {
  ...GET,
  headers: [
    ['X-Tag', 'a'],
    ['X-Tag', 'b'],
  ],
  cover: ['@method', '@target-uri', 'x-tag'],
} as const;

const mistakes: Record<string, Case> = {
  'changes Host to another public origin': {
    mistake: ({ lines }) => ({ lines: withField(lines, 'host', () => INTERNAL) }),
    cause: 'host-changed',
    refusal: 'signature-invalid',
    differs: '"@target-uri"',
  },
  'changes Host to one that nobody knows': {
    mistake: ({ lines }) => ({ lines: withField(lines, 'host', () => '10.0.0.7:8080') }),
    cause: 'host-changed',
    refusal: 'origin-unknown',
  },
  'decodes an escape of the path': {
    draft: { ...GET, target: '/v1/a%28b' },
    mistake: ({ target }) => ({ target: target.replace('%28', '(') }),
    cause: 'path-escapes-changed',
    refusal: 'signature-invalid',
    differs: '"@target-uri"',
  },
  'escapes what needs no escape': {
    draft: { ...GET, target: '/v1/~a-b' },
    mistake: ({ target }) => ({ target: target.replace('~', '%7E').replace('-', '%2D') }),
    cause: 'path-escapes-changed',
    refusal: 'target-ambiguous',
  },
  'serialises the body anew': {
    mistake: serialisedAnew,
    cause: 'body-changed',
    refusal: 'digest-mismatch',
  },
  'serialises the body anew, and computes its digest': {
    mistake: (passing) => {
      const { body = passing.body, lines = passing.lines } = serialisedAnew(passing);
      return { body, lines: withField(lines, 'content-digest', () => contentDigest(body)) };
    },
    cause: 'body-changed',
    refusal: 'signature-invalid',
    differs: '"content-digest"',
  },
  'drops the query': {
    draft: { ...GET, target: '/v1/whoami?since=1' },
    mistake: () => ({ target: '/v1/whoami' }),
    cause: 'query-missing',
    refusal: 'signature-invalid',
    differs: '"@target-uri"',
  },
  'drops a bare "?"': {
    draft: { ...GET, target: '/v1/whoami?' },
    mistake: () => ({ target: '/v1/whoami' }),
    cause: 'query-missing',
    refusal: 'signature-invalid',
    differs: '"@target-uri"',
  },
  'drops the query that is signed by itself': {
    draft: { ...GET, target: '/v1/whoami?a', cover: ['@method', '@scheme', '@authority', '@path', '@query'] },
    mistake: () => ({ target: '/v1/whoami' }),
    cause: 'query-missing',
    refusal: 'signature-invalid',
    differs: '"@query"',
  },
  'trims the spaces within a header': {
    draft: NOTE,
    mistake: ({ lines }) => ({ lines: withField(lines, 'x-note', (value) => value.replace(/ +/g, ' ')) }),
    cause: 'header-trimmed',
    refusal: 'signature-invalid',
    differs: '"x-note"',
  },
  'joins the lines of a header': {
    draft: TAGS,
    mistake: ({ lines }) => ({
      lines: [...withField(lines, 'x-tag', () => undefined), ['X-Tag', 'a,b']],
    }),
    cause: 'header-joined',
    refusal: 'signature-invalid',
    differs: '"x-tag"',
  },
  'drops a header': {
    draft: NOTE,
    mistake: ({ lines }) => ({ lines: withField(lines, 'x-note', () => undefined) }),
    cause: 'header-changed',
    refusal: 'signature-policy',
  },
};

describe('explain names the cause where a proxy', () => {
  it.each(Object.entries(mistakes))('%s', async (_, { mistake, draft, cause, refusal, differs }) => {
    proxy.mistake = mistake;
    const found = await explainedJson(bytesOf(signed(draft)));
    expect(codes(found)).toEqual([cause]);
    expect(found.gateway).toEqual({ source: 'asked', status: expect.any(Number), code: refusal });
    expect([found.code, found.macHolds, found.firstDifference?.id]).toEqual([1, true, differs]);
  });

  it('changes nothing: then nothing is wrong, and the call was made', async () => {
    const found = await explainedJson(bytesOf(signed(TAGS)));
    expect([found.code, found.causes, found.firstDifference]).toEqual([0, [], null]);
    expect(found.gateway).toEqual({ source: 'asked', status: 200, code: null });
    expect(found.components.map(({ id, verdict }) => [id, verdict])).toEqual([
      ['"@method"', 'same'],
      ['"@target-uri"', 'same'],
      ['"x-tag"', 'same'],
      ['"@signature-params"', 'same'],
    ]);
  });
});

describe('the comparison', () => {
  it('stands line by line, with a caret under the first column that differs', async () => {
    proxy.mistake = mistakes['changes Host to another public origin']?.mistake as Mistake;
    const { stdout } = await explained(bytesOf(signed()));
    const lines = stdout.split('\n');
    const at = lines.findIndex((line) => line.includes('"@target-uri"'));
    const [ours = '', gateways = '', caret = ''] = lines.slice(at, at + 3);
    expect(lines[at - 1]).toBe('  1 =  "@method": POST');
    expect(ours).toBe(`  2 !  file     "@target-uri": http://127.0.0.1:${proxy.port}/v1/echo`);
    expect(gateways).toBe(`       gateway  "@target-uri": http://${INTERNAL}/v1/echo`);
    expect(caret.trim()).toBe('^');
    const column = caret.indexOf('^');
    expect([ours[column - 1], ours[column], gateways[column]]).toEqual(['/', '1', 'g']);
    expect(stdout).toContain('First difference: line 2, "@target-uri", column 23');
    expect(stdout).toContain('Cause: host-changed');
  });

  it("says can't compare where the gateway masks a value of the same length", async () => {
    proxy.mistake = ({ lines }) => ({ lines: withField(lines, 'host', () => INTERNAL) });
    const request = bytesOf(signed(NOTE));
    const { stdout } = await explained(request);
    expect(stdout).toContain("can't compare: the gateway shows <13 bytes>");
    const found = await explainedJson(request);
    expect(found.components[2]).toEqual({
      id: '"x-note"',
      ours: 'tea  and milk',
      gateway: '<13 bytes>',
      verdict: 'cannot-compare',
    });
  });

  it('counts another length of a masked value as a difference', async () => {
    proxy.mistake = ({ lines }) => ({ lines: withField(lines, 'x-note', () => 'tea') });
    const found = await explainedJson(bytesOf(signed(NOTE)));
    expect(found.firstDifference).toEqual({ id: '"x-note"', line: 3, column: null });
    expect(codes(found)).toEqual(['header-changed']);
  });
});

const OTHER_SECRET = Buffer.alloc(64, 9).toString('base64');

describe('the secret', () => {
  it("that isn't the one of the signer is named, with equal bases", async () => {
    const found = await explainedJson(bytesOf(signed({}, { ...key, secret: OTHER_SECRET })));
    expect([codes(found), found.macHolds, found.firstDifference]).toEqual([['secret-wrong'], false, null]);
    expect(found.components.every(({ verdict }) => verdict === 'same')).toBe(true);
  });

  it("that isn't the gateway's is named, where signer and credentials agree", async () => {
    const other = { ...key, secret: OTHER_SECRET };
    const found = await explainedJson(bytesOf(signed({}, other)), [], other);
    expect([codes(found), found.macHolds]).toEqual([['secret-differs'], true]);
  });

  it('of a keyid that the gateway does not know cannot be told from that', async () => {
    const other = { ...key, keyid: 'k-nobody' };
    const found = await explainedJson(bytesOf(signed({}, other)), [], other);
    expect(codes(found)).toEqual(['secret-differs']);
    expect(found.causes[0]?.detail).toContain('"k-nobody"');
  });

  it('that the signer uses without decoding it is named', async () => {
    const text = Buffer.from(key.secret).toString('base64');
    const found = await explainedJson(bytesOf(signed({}, { ...key, secret: text })));
    expect(codes(found)).toEqual(['secret-wrong']);
    expect(found.causes[0]?.detail).toContain('decode the secret from base64');
  });

  it('of the credentials alone is wrong where the gateway accepts the call', async () => {
    const found = await explainedJson(bytesOf(signed()), [], { ...key, secret: OTHER_SECRET });
    expect(codes(found)).toEqual(['secret-wrong']);
    expect(found.causes[0]?.detail).toContain('The gateway found the MAC good');
  });

  it('of another keyid is not called wrong: the keyid differs', async () => {
    const found = await explainedJson(bytesOf(signed()), [], { keyid: 'k-other', secret: OTHER_SECRET });
    expect(codes(found)).toEqual(['keyid-differs']);
  });

  it('that stands in the request by mistake is not printed', async () => {
    const request = signed({ ...GET, headers: [['X-Note', key.secret]], cover: NOTE.cover });
    const { stdout } = await explained(bytesOf(request), ['--offline']);
    expect(stdout).toContain('"x-note": <the secret>');
  });
});

describe('a clock', () => {
  it('that is 10 minutes behind the gateway is named', async () => {
    gateway.clock.advance(600);
    const found = await explainedJson(bytesOf(signed()));
    expect([codes(found), found.gateway?.code]).toEqual([['clock-skewed'], 'signature-expired']);
    expect(found.causes[0]?.detail).toMatch(/This machine's clock is (?:59\d|60\d) s behind the gateway's/);
  });

  it('that is 10 minutes ahead of the gateway is named', async () => {
    gateway.clock.advance(-600);
    const found = await explainedJson(bytesOf(signed()));
    expect([codes(found), found.gateway?.code]).toEqual([['clock-skewed'], 'clock-skew']);
  });

  it('is not blamed for a request that was recorded an hour ago', async () => {
    const created = Math.floor(Date.now() / 1000) - 3600;
    const found = await explainedJson(bytesOf(signed({ created })));
    expect(codes(found)).toEqual(['signature-expired']);
  });

  it('is named beside another cause', async () => {
    proxy.mistake = ({ lines }) => ({ lines: withField(lines, 'host', () => INTERNAL) });
    const created = Math.floor(Date.now() / 1000) + 600;
    expect(codes(await explainedJson(bytesOf(signed({ created }))))).toEqual([
      'host-changed',
      'clock-skewed',
    ]);
  });
});

describe("the gateway's other answers", () => {
  it.each([
    ['nonce-replayed', signed2x, 401],
    ['role-missing', async () => signed({ headers: [['Countersign-Narrow', 'a-role']] }), 403],
    ['not-found', async () => signed({ ...GET, target: '/nowhere' }), 404],
    ['signature-policy', async () => signed({ cover: ['@method', '@target-uri'] }), 400],
  ])('%s is said and explained', async (code, request, status) => {
    const found = await explainedJson(bytesOf(await request()));
    expect([codes(found), found.gateway?.status, found.code]).toEqual([[code], status, 1]);
    expect(found.causes[0]?.detail.length).toBeGreaterThan(40);
  });

  async function signed2x(): Promise<RawRequest> {
    const request = signed();
    expect((await send(throughProxy(), request)).status).toBe(200);
    return request;
  }

  it('an answer that no gateway gave is not taken for one', async () => {
    proxy.forwardTo = await closedPort();
    const found = await explainedJson(bytesOf(signed()));
    proxy.forwardTo = gateway.port;
    expect([found.code, found.gateway, found.macHolds]).toEqual([0, null, true]);
  });
});

async function closedPort(): Promise<number> {
  const closed = await startTestProxy();
  await closed.close();
  return closed.port;
}

describe('without asking', () => {
  /** What the gateway answers to a request with a mistake on the way, as a caller might have kept it. */
  async function refused(request: RawRequest): Promise<string> {
    proxy.mistake = ({ lines }) => ({ lines: withField(lines, 'host', () => INTERNAL) });
    return (await send(throughProxy(), request)).body;
  }

  it.each([
    ['the whole problem', (problem: string) => problem],
    ["its signatureBase's text", (problem: string) => `${JSON.parse(problem).signatureBase}\n`],
    [
      "its signatureBase's text with CRLF",
      (problem: string) => JSON.parse(problem).signatureBase.replaceAll('\n', '\r\n'),
    ],
    ['its signatureBase as JSON', (problem: string) => JSON.stringify(JSON.parse(problem).signatureBase)],
  ])('--base takes %s, and nothing is sent', async (_, form) => {
    const request = signed();
    const base = file(form(await refused(request)));
    const before = proxy.count;
    const found = await explainedJson(bytesOf(request), ['--base', base]);
    expect([codes(found), found.gateway?.source, found.code]).toEqual([['host-changed'], 'given', 1]);
    expect(proxy.count).toBe(before);
  });

  it('--base of an earlier try compares what stays the same', async () => {
    const base = file(await refused(signed()));
    const found = await explainedJson(bytesOf(signed()), ['--base', base]);
    expect(codes(found)).toEqual(['host-changed']);
    expect(found.components.at(-1)).toMatchObject({ id: '"@signature-params"', verdict: 'cannot-compare' });
    expect(found.notes.join()).toContain('its nonce differs');
  });

  it('--base that is no base is refused', async () => {
    const { code, stderr } = await explained(bytesOf(signed()), ['--base', file('hello'), '--json']);
    expect([code, JSON.parse(stderr).code]).toEqual([1, 'request-invalid']);
  });

  it('--offline checks the file alone', async () => {
    const before = proxy.count;
    const good = await explained(bytesOf(signed()), ['--offline']);
    expect(good.code).toBe(0);
    expect(good.stdout).toContain('Nothing is wrong in the file itself');
    const request = signed();
    const changed = { ...request, body: request.body.replace('world', 'earth') };
    expect(codes(await explainedJson(bytesOf(changed), ['--offline']))).toEqual(['body-changed']);
    expect(proxy.count).toBe(before);
  });

  it('a gateway that cannot be reached is said, and the file is checked all the same', async () => {
    const port = await closedPort();
    const request = bytesOf(signed({}, { ...key, secret: OTHER_SECRET }));
    const url = ['--url', `http://127.0.0.1:${port}`];
    const { code, stdout } = await explained(request, url);
    expect(stdout).toContain('No connection');
    expect(stdout).toContain('Cause: secret-wrong');
    expect(code).toBe(1);
  });
});

describe('a HAR', () => {
  function entry(request: RawRequest, response?: object) {
    const [method, target] = request.line.split(' ');
    return {
      request: {
        method,
        url: `http://127.0.0.1:${proxy.port}${target}`,
        httpVersion: 'HTTP/1.1',
        headers: request.headers.map(([name, value]) => ({ name, value })),
        postData: { mimeType: 'application/json', text: request.body },
      },
      ...(response && { response }),
    };
  }

  it('with one entry, an entry, or the signed one of many is explained', async () => {
    proxy.mistake = ({ lines }) => ({ lines: withField(lines, 'host', () => INTERNAL) });
    const plain = { request: { method: 'GET', url: 'http://127.0.0.1/', headers: [] } };
    for (const har of [
      { log: { entries: [entry(signed())] } },
      entry(signed()),
      { log: { entries: [plain, entry(signed()), plain] } },
    ]) {
      expect(codes(await explainedJson(har))).toEqual(['host-changed']);
    }
  });

  it('with several asks which, and --entry says it', async () => {
    const har = { log: { entries: [entry(signed()), entry(signed({ ...GET, target: '/nowhere' }))] } };
    const { code, stderr } = await explained(har);
    expect(code).toBe(1);
    expect(stderr).toContain('--entry N');
    expect(stderr).toContain(`2  GET http://127.0.0.1:${proxy.port}/nowhere  (signed)`);
    expect(codes(await explainedJson(har, ['--entry', '2']))).toEqual(['not-found']);
  });

  it("that holds the gateway's answer is explained by it, and nothing is sent", async () => {
    proxy.mistake = ({ lines }) => ({ lines: withField(lines, 'host', () => INTERNAL) });
    const request = signed();
    const { status, headers, body } = await send(throughProxy(), request);
    const response = {
      status,
      headers: [...headers.entries()].map(([name, value]) => ({ name, value })),
      content: { text: body },
    };
    const before = proxy.count;
    const found = await explainedJson(entry(request, response));
    expect([codes(found), found.gateway?.source, proxy.count - before]).toEqual([
      ['host-changed'],
      'recorded',
      0,
    ]);
  });
});

describe('what cannot be explained', () => {
  it('is a request without a signature of ours: it is not sent', async () => {
    const before = proxy.count;
    const found = await explainedJson(`GET /v1/whoami HTTP/1.1\nHost: 127.0.0.1:${proxy.port}\n`);
    expect([codes(found), found.components, found.code]).toEqual([['signature-missing'], [], 1]);
    expect(proxy.count).toBe(before);
  });

  it('is a file that is no request', async () => {
    const { code, stderr, stdout } = await explained('hello', ['--json']);
    expect([code, stdout, JSON.parse(stderr).code]).toEqual([1, '', 'request-invalid']);
  });

  it.each([[[]], [['a', 'b']], [['a', '--entry', '0']], [['a', '--url', 'ftp://x']], [['a', '--what']]])(
    'is a misused command line: %j',
    async (args) => {
      expect((await countersign(['explain', ...args]).ended).code).toBe(2);
    },
  );

  it('while --help warns that the request is really sent', async () => {
    const { code, stdout } = await countersign(['explain', '--help']).ended;
    expect(code).toBe(0);
    expect(stdout).toContain('The request is really sent');
  });
});
