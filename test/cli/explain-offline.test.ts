/**
 * `countersign explain` with what was kept of a call: a problem document, a HAR, or nothing but the request.
 */
import { describe, expect, it } from 'vitest';
import { countersign } from '../e2e/processes.ts';
import { bytesOf, type RawRequest, send } from '../gateway/wire.ts';
import { changesHost, closedPort, codes, GET, OTHER_SECRET, setDesk } from './explain-desk.ts';

const desk = setDesk();

describe('without asking', () => {
  /** What the gateway answers to a request with a mistake on the way, as a caller might have kept it. */
  async function refused(request: RawRequest): Promise<string> {
    desk.proxy.mistake = changesHost;
    return (await send(desk.target, request)).body;
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
    const request = desk.signed();
    const base = desk.file(form(await refused(request)));
    const before = desk.proxy.count;
    const found = await desk.explainedJson(bytesOf(request), ['--base', base]);
    expect([codes(found), found.gateway?.source, found.code]).toEqual([['host-changed'], 'given', 1]);
    expect(desk.proxy.count).toBe(before);
  });

  it('--base of an earlier try compares what stays the same', async () => {
    const base = desk.file(await refused(desk.signed()));
    const found = await desk.explainedJson(bytesOf(desk.signed()), ['--base', base]);
    expect(codes(found)).toEqual(['host-changed']);
    expect(found.components.at(-1)).toMatchObject({ id: '"@signature-params"', verdict: 'cannot-compare' });
    expect(found.notes.join()).toContain('its nonce differs');
  });

  it('--base that is no base is refused', async () => {
    const { code, stderr } = await desk.explained(bytesOf(desk.signed()), [
      '--base',
      desk.file('hello'),
      '--json',
    ]);
    expect([code, JSON.parse(stderr).code]).toEqual([1, 'request-invalid']);
  });

  it('--offline checks the file alone', async () => {
    const before = desk.proxy.count;
    const good = await desk.explained(bytesOf(desk.signed()), ['--offline']);
    expect(good.code).toBe(0);
    expect(good.stdout).toContain('Nothing is wrong in the file itself');
    const request = desk.signed();
    const changed = { ...request, body: request.body.replace('world', 'earth') };
    expect(codes(await desk.explainedJson(bytesOf(changed), ['--offline']))).toEqual(['body-changed']);
    expect(desk.proxy.count).toBe(before);
  });

  it('a gateway that cannot be reached is said, and the file is checked all the same', async () => {
    const port = await closedPort();
    const request = bytesOf(desk.signed({}, { ...desk.key, secret: OTHER_SECRET }));
    const url = ['--url', `http://127.0.0.1:${port}`];
    const { code, stdout } = await desk.explained(request, url);
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
        url: `http://127.0.0.1:${desk.proxy.port}${target}`,
        httpVersion: 'HTTP/1.1',
        headers: request.headers.map(([name, value]) => ({ name, value })),
        postData: { mimeType: 'application/json', text: request.body },
      },
      ...(response && { response }),
    };
  }

  it('with one entry, an entry, or the signed one of many is explained', async () => {
    desk.proxy.mistake = changesHost;
    const plain = { request: { method: 'GET', url: 'http://127.0.0.1/', headers: [] } };
    for (const har of [
      { log: { entries: [entry(desk.signed())] } },
      entry(desk.signed()),
      { log: { entries: [plain, entry(desk.signed()), plain] } },
    ]) {
      expect(codes(await desk.explainedJson(har))).toEqual(['host-changed']);
    }
  });

  it('with several asks which, and --entry says it', async () => {
    const har = {
      log: { entries: [entry(desk.signed()), entry(desk.signed({ ...GET, target: '/nowhere' }))] },
    };
    const { code, stderr } = await desk.explained(har);
    expect(code).toBe(1);
    expect(stderr).toContain('--entry N');
    expect(stderr).toContain(`2  GET http://127.0.0.1:${desk.proxy.port}/nowhere  (signed)`);
    expect(codes(await desk.explainedJson(har, ['--entry', '2']))).toEqual(['not-found']);
  });

  it("that holds the gateway's answer is explained by it, and nothing is sent", async () => {
    desk.proxy.mistake = changesHost;
    const request = desk.signed();
    const { status, headers, body } = await send(desk.target, request);
    const response = {
      status,
      headers: [...headers.entries()].map(([name, value]) => ({ name, value })),
      content: { text: body },
    };
    const before = desk.proxy.count;
    const found = await desk.explainedJson(entry(request, response));
    expect([codes(found), found.gateway?.source, desk.proxy.count - before]).toEqual([
      ['host-changed'],
      'recorded',
      0,
    ]);
  });
});

describe('what cannot be explained', () => {
  it('is a request without a signature of ours: it is not sent', async () => {
    const before = desk.proxy.count;
    const found = await desk.explainedJson(`GET /v1/whoami HTTP/1.1\nHost: 127.0.0.1:${desk.proxy.port}\n`);
    expect([codes(found), found.components, found.code]).toEqual([['signature-missing'], [], 1]);
    expect(desk.proxy.count).toBe(before);
  });

  it('is a file that is no request', async () => {
    const { code, stderr, stdout } = await desk.explained('hello', ['--json']);
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
