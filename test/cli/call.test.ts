/**
 * `countersign call`, typed against a running gateway.
 */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  Child,
  countersign,
  endAll,
  type GatewayProcess,
  type Outcome,
  type SpawnOptions,
  serve,
  temporaryFolder,
} from '../e2e/processes.ts';

let folder: string;
let gateway: GatewayProcess;
let upstream: Server;
/** Everything that was printed, to be searched for the secret. */
let printed: Outcome[] = [];

beforeAll(async () => {
  folder = temporaryFolder();
  const { server, url } = await listen(createServer((_req, res) => res.writeHead(410).end('gone')));
  upstream = server;
  const routes = [{ path: '/orders', upstream: url, role: 'any' }];
  gateway = await serve(join(folder, 'data'), { settings: { routes } });
});

afterAll(async () => {
  upstream.close();
  await endAll();
});

afterEach(() => {
  const { secret } = gateway.credentials;
  const hex = Buffer.from(secret, 'base64').toString('hex');
  for (const { stdout, stderr } of printed) {
    expect(stdout + stderr).not.toContain(secret.slice(0, 20));
    expect(stdout + stderr).not.toContain(hex.slice(0, 20));
  }
  printed = [];
});

async function run(command: string, args: readonly string[], options: SpawnOptions = {}): Promise<Outcome> {
  const variables = { COUNTERSIGN_DATA: gateway.data, ...options.variables };
  const outcome = await countersign([command, ...args], { ...options, cwd: folder, variables }).ended;
  printed.push(outcome);
  return outcome;
}

const call = (args: readonly string[], options?: SpawnOptions) => run('call', args, options);

async function callJson(args: readonly string[], options?: SpawnOptions) {
  const { code, stdout } = await call([...args, '--json'], options);
  return { code, ...JSON.parse(stdout) };
}

/** Writes a credentials file and returns its path. */
function credentialsFile(change: Record<string, unknown> = {}): string {
  const file = join(folder, `${randomUUID()}.json`);
  writeFileSync(file, JSON.stringify({ ...gateway.credentials, ...change }), { mode: 0o600 });
  return file;
}

async function listen<T extends Server>(server: T): Promise<{ server: T; url: string }> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describe.concurrent('a call that goes through', () => {
  it('shows status and body, says that the response was verified, and exits with 0', async () => {
    expect(await call(['POST', '/v1/echo', '{"tea":2}'])).toEqual({
      code: 0,
      stdout: '200 OK\n{"consumer":"demo","echo":{"tea":2}}\nresponse verified\n',
      stderr: '',
    });
  });

  it('takes a method in lower case, a whole URL, and no body', async () => {
    const { code, stdout } = await call(['get', `${gateway.url}/v1/whoami`]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('"consumer":"demo"') });
  });

  it('puts the public origin before a path where the credentials name no gateway', async () => {
    const credentials = credentialsFile({ url: undefined });
    const at = async (origins: string) => {
      const variables = { COUNTERSIGN_PUBLIC_ORIGINS: origins, COUNTERSIGN_PORT: '1' };
      const { stderr } = await call(['GET', '/v1/whoami', '--credentials', credentials], { variables });
      return / to (\S+) could be made/.exec(stderr)?.[1];
    };
    expect(await at('')).toBe('127.0.0.1:1');
    expect(await at('http://localhost:1')).toBe('localhost:1');
    expect(await at('http://localhost:1,http://127.0.0.1:1')).toBe('127.0.0.1:1');
  });

  it('prints status, headers, body and verdict as JSON', async () => {
    expect(await callJson(['POST', '/v1/echo', '[1]'])).toEqual({
      code: 0,
      status: 200,
      verified: true,
      headers: expect.objectContaining({ 'content-type': 'application/json; charset=utf-8' }),
      body: { consumer: 'demo', echo: [1] },
    });
  });

  it('shows both messages and both signature bases when asked', async () => {
    const { stdout } = await call(['POST', '/v1/echo', '{}', '--verbose']);
    expect(stdout).toMatch(/^--- request\nPOST \/v1\/echo HTTP\/1\.1\nhost: 127\.0\.0\.1:\d+\n/);
    expect(stdout).toContain('\n--- signature base\n"@method": POST\n');
    expect(stdout).toContain('\n--- response\nHTTP/1.1 200 OK\n');
    expect(stdout).toContain('\n--- signature base\n"@status": 200\n');
    expect(stdout).toMatch(/\nresponse verified\n$/);
    const json = await callJson(['POST', '/v1/echo', '{}', '-v']);
    expect(json.signatureBase).toContain('"@signature-params": ');
    expect(json.responseBase).toContain('"@status": 200\n');
    expect(json.request).toContain('signature-input: ');
  });

  it('sends header fields, and covers what the profile asks for', async () => {
    const { body } = await callJson([
      'GET',
      '/v1/whoami',
      '-H',
      'Countersign-Narrow: demo',
      '-H',
      'X-Tea: yes',
    ]);
    expect(body.roles).toEqual(['demo']);
    const { request } = await callJson(['GET', '/v1/whoami', '-v', '-H', 'X-Tea:yes', '-H', 'x-milk: a:b']);
    expect(request).toContain('\nx-tea: yes\nx-milk: a:b\n');
  });

  it('takes its body from -d, from a file, or from standard input', async () => {
    writeFileSync(join(folder, 'body.json'), '{"from":"file"}');
    expect((await callJson(['POST', '/v1/echo', '-d', '{"from":"option"}'])).body.echo.from).toBe('option');
    expect((await callJson(['POST', '/v1/echo', '-d', '@body.json'])).body.echo.from).toBe('file');
    expect(
      (await callJson(['POST', '/v1/echo', '-d', '@-'], { input: '{"from":"input"}' })).body.echo.from,
    ).toBe('input');
  });

  it('takes credentials from --credentials, then COUNTERSIGN_CREDENTIALS, then demo.json', async () => {
    const good = credentialsFile();
    const bad = credentialsFile({ keyid: 'nobody' });
    const from = (file: string) => ({
      variables: { COUNTERSIGN_CREDENTIALS: file, COUNTERSIGN_DATA: '/nowhere' },
    });
    expect((await call(['GET', '/v1/whoami'], from(good))).code).toBe(0);
    expect((await call(['GET', '/v1/whoami', '--credentials', good], from(bad))).code).toBe(0);
    expect((await call(['GET', '/v1/whoami', '--credentials', bad], from(good))).code).toBe(1);
    expect((await call(['GET', '/v1/whoami'])).code).toBe(0);
  });

  it('warns of a credentials file that others can read, and uses it', async () => {
    const file = credentialsFile();
    chmodSync(file, 0o644);
    const { code, stderr } = await call(['GET', '/v1/whoami', '--credentials', file]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('chmod 600') });
  });
});

describe.concurrent('a printed curl command', () => {
  const exists = () => {
    try {
      return execFileSync('curl', ['--version'], { encoding: 'utf8' }).startsWith('curl');
    } catch {
      return false;
    }
  };

  it('holds the signature and not the secret, and nothing is sent', async () => {
    const { code, stdout, stderr } = await call(['POST', '/v1/echo', `{"it's":1}`, '--print-curl']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain("-H 'signature-input: ");
    expect(stdout).toContain(`--data-raw '{"it'\\''s":1}'`);
  });

  it('runs as it stands, once', async (context) => {
    if (!exists()) context.skip('there is no curl on this machine');
    const rows: [args: string[], answer: RegExp][] = [
      [['POST', '/v1/echo', `{"it's":1}`], /"it's":1.*\n200$/s],
      [['POST', '/v1/echo', '"a\\nb"', '-H', 'X-Empty:'], /"a\\nb".*\n200$/s],
      // Refused for what it is, and not for what curl would find in a file called "tea".
      [['POST', '/v1/echo', '@tea'], /json-malformed.*\n400$/s],
      [['GET', '/v1/whoami?ids[]=%7B&{1,2}'], /"demo".*\n200$/s],
      [['HEAD', '/v1/ping'], /\n200$/],
    ];
    for (const [args, answer] of rows) {
      const { stdout: line } = await call([...args, '--print-curl']);
      const sh = ['-c', `${line.trimEnd()} -s -w '\\n%{http_code}'`];
      expect((await new Child('sh', sh).ended).stdout).toMatch(answer);
      expect((await new Child('sh', sh).ended).stdout).toMatch(/\n401$/);
    }
  });

  it('is refused for a body that is not text', async () => {
    writeFileSync(join(folder, 'picture.png'), Buffer.from([0x89, 0x50, 0xff, 0x00]));
    const { code, stdout, stderr } = await call(['POST', '/v1/echo', '-d', '@picture.png', '--print-curl']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('(request-invalid)');
  });
});

describe.concurrent('a call that is refused or fails exits with 1', () => {
  it('and shows the signed refusal and its code', async () => {
    const { code, stdout, stderr } = await call(['GET', '/nowhere']);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^404 Not Found\n\{.*"code":"not-found".*\}\nresponse verified\n$/s);
    expect(stderr).toMatch(/^countersign: .+\n {2}\(not-found\)\n$/);
  });

  it("and shows an upstream's own error, which is no refusal", async () => {
    const { code, stdout, stderr } = await call(['GET', '/orders/7']);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(stdout).toBe('410 Gone\ngone\nresponse verified\n');
  });

  it('and tells a program the code as JSON', async () => {
    const { code, stdout, stderr } = await call(['POST', '/v1/echo', 'tea', '--json']);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      status: 400,
      verified: true,
      body: { code: 'json-malformed' },
    });
    expect(JSON.parse(stderr)).toMatchObject({ code: 'json-malformed', detail: expect.any(String) });
  });

  it.each([
    ['a wrong secret', { secret: Buffer.alloc(64, 7).toString('base64') }],
    ['an unknown keyid', { keyid: 'demo.aaaaaaaaaaaa' }],
  ])('with %s as signature-invalid, and says that the answer is not verified', async (_, change) => {
    const file = credentialsFile(change);
    const { code, stdout, stderr } = await call(['GET', '/v1/whoami', '--credentials', file]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^401 Unauthorized\n.*response NOT verified\n$/s);
    expect(stderr).toContain('(signature-invalid)');
  });

  it('with an Idempotency-Key where nothing is remembered', async () => {
    const { code, stderr } = await call(['POST', '/v1/echo', '{}', '--idempotency-key', 'a "b"']);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining('(idempotency-key-invalid)'),
    });
  });

  it('where no gateway listens', async () => {
    const { server, url } = await listen(createTcpServer());
    server.close();
    await once(server, 'close');
    const file = credentialsFile({ url });
    const { code, stdout, stderr } = await call(['GET', '/v1/ping', '--credentials', file]);
    expect({ code, stdout, stderr }).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/ECONNREFUSED.*Nothing was sent.*\(connection-lost\)/s),
    });
  });

  it('where the answer does not come in time', async () => {
    const { server, url } = await listen(createTcpServer((socket) => socket.on('error', () => {})));
    const file = credentialsFile({ url });
    const { code, stderr } = await call(['GET', '/v1/ping', '--credentials', file, '--timeout', '0.1']);
    server.close();
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('(timeout)') });
  });

  it.each([
    ['bears no signature', {}],
    ['claims one', { Signature: 'cs=:AAAA:', 'Signature-Input': 'cs=("@status")' }],
  ])('where the answer %s', async (_, headers) => {
    const { server, url } = await listen(createServer((_req, res) => res.writeHead(200, headers).end('tea')));
    const file = credentialsFile({ url });
    const { code, stdout, stderr } = await call(['GET', '/v1/ping', '--credentials', file]);
    server.close();
    expect(code).toBe(1);
    expect(stdout).toBe('200 OK\ntea\nresponse NOT verified\n');
    expect(stderr).toMatch(/\(response-(unsigned|invalid)\)/);
  });

  it.each([
    ['which is missing', undefined],
    ['which is not JSON', '{"secret":"abc'],
    ['which lacks a secret', '{"keyid":"a"}'],
    ['whose secret is too short', '{"keyid":"a","secret":"YWJj"}'],
  ])('with a credentials file %s', async (_, content) => {
    const file = join(folder, `${randomUUID()}.json`);
    if (content !== undefined) writeFileSync(file, content, { mode: 0o600 });
    const { code, stdout, stderr } = await call([
      'GET',
      '/v1/ping',
      '--credentials',
      content ? file : '/nowhere',
    ]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('(credentials-invalid)');
  });

  it('in a folder without a demo consumer, and says what to name', async () => {
    const { code, stderr } = await call(['GET', '/v1/ping', '--data', join(folder, 'elsewhere')]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('(credentials-invalid)') });
    for (const way of ['COUNTERSIGN_DATA', '--credentials']) expect(stderr).toContain(way);
    expect(stderr).not.toContain('ENOENT');
  });

  it('with a body that cannot be read, and a URL that cannot be called', async () => {
    expect((await call(['POST', '/v1/echo', '-d', '@nowhere'])).stderr).toContain('(request-invalid)');
    const { code, stderr } = await call(['GET', 'http://[nonsense/v1/ping']);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/\(request-invalid\)\n$/) });
  });
});

it.concurrent.each([
  [['GET', '/v1/ping', '--nonsense'], "unknown option '--nonsense'"],
  [['GET'], "missing required argument 'url'"],
  [['POST', '/v1/echo', '{}', 'more'], 'too many arguments'],
  [['GET', '/v1/ping', '-H', 'no colon'], 'It must be "Name: value".'],
  [['GET', '/v1/ping', '--timeout', 'soon'], 'It must be a number of seconds.'],
])('misused as %j, it says so and exits with 2', async (args, said) => {
  const { code, stdout, stderr } = await call(args);
  expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr: expect.stringContaining(said) });
});
