/**
 * Starts that must not happen, each with what to do about it; and the ones beside them that may.
 */
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { problem, sendBytes } from '../gateway/wire.ts';
import { countersign, endAll, serve, temporaryFolder, type Variables } from './processes.ts';

let data: string;

beforeEach(() => {
  data = join(temporaryFolder(), 'data');
});
afterEach(endAll);

/** A start that is refused. @returns what it said, to people and to programs. */
async function refused(variables: Variables, yaml?: string): Promise<{ said: string; error: unknown }> {
  const config = `${data}.yaml`;
  if (yaml !== undefined) writeFileSync(config, yaml);
  const all = {
    COUNTERSIGN_DATA: data,
    COUNTERSIGN_PORT: '0',
    ...(yaml !== undefined && { COUNTERSIGN_CONFIG: config }),
    ...variables,
  };
  const [told, json] = await Promise.all([
    countersign(['serve'], { variables: all }).ended,
    countersign(['serve', '--json'], { variables: all }).ended,
  ]);
  expect(told.code).toBe(1);
  // Where the store was opened, what the start wrote into the record is told; nothing else is.
  expect(told.stdout).toMatch(/^(?:\{.*"msg":"audit head"\}\n)?$/);
  expect(told.stderr).not.toMatch(/^\s+at /m);
  expect(json.code).toBe(1);
  return { said: told.stderr, error: JSON.parse(json.stderr) };
}

describe('a host beyond this machine', () => {
  it('without origins and TLS stops the start, and nothing is made', async () => {
    const { said, error } = await refused({ COUNTERSIGN_HOST: '0.0.0.0' });
    expect(said).toContain('the public origins must be named: set origins, or COUNTERSIGN_PUBLIC_ORIGINS');
    expect(said).toContain(
      'without TLS: set up tls:, list the proxy that ends TLS under trustedProxies, or set insecure: true',
    );
    expect(said).toMatch(/\n {2}\(config-invalid\)\n$/);
    expect(error).toMatchObject({
      code: 'config-invalid',
      errors: [{ path: 'COUNTERSIGN_HOST' }, { path: 'COUNTERSIGN_HOST' }],
    });
    expect(existsSync(data)).toBe(false);
  });

  it.each([
    ['without origins', {}, 'insecure: true\n', 'public origins must be named'],
    ['without TLS', { COUNTERSIGN_PUBLIC_ORIGINS: 'https://api.example' }, '', 'without TLS'],
  ])('%s alone stops the start, too', async (_, variables, yaml, said) => {
    const start = await refused({ COUNTERSIGN_HOST: '0.0.0.0', ...variables }, yaml);
    expect(start.said).toContain(said);
    expect((start.error as { errors: unknown[] }).errors).toHaveLength(1);
  });

  it.each([
    ['insecure: true', { insecure: true, origins: ['http://api.example'] }],
    ['a trusted proxy', { trustedProxies: ['10.0.0.0/8'], origins: ['http://api.example'] }],
  ])('with origins and %s starts, and makes no demo consumer', async (_, settings) => {
    const gateway = await serve(data, { settings: { host: '0.0.0.0', ...settings } });
    expect(gateway.child.stderr).toBe('Countersign serves http://api.example\n');
    expect(existsSync(join(data, 'demo.json'))).toBe(false);
    const ping = (host: string) => sendBytes(gateway.port, `GET /v1/ping HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    expect((await ping('api.example')).status).toBe(200);
    const elsewhere = await ping(`127.0.0.1:${gateway.port}`);
    expect({ status: elsewhere.status, code: problem(elsewhere).code }).toEqual({
      status: 421,
      code: 'origin-unknown',
    });
    const list = await countersign(['consumer', 'list', '--json', '--data', data]).ended;
    expect(JSON.parse(list.stdout)).toEqual([]);
  });
});

it('a port that is taken is told, with what to do', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  try {
    const { said, error } = await refused({ COUNTERSIGN_PORT: String(port) });
    expect(said).toContain(`Can't listen on 127.0.0.1:${port}: something else listens there`);
    expect(said).toMatch(/\n {2}\(listen-failed\)\n$/);
    expect(error).toMatchObject({ code: 'listen-failed' });
  } finally {
    other.close();
  }
});

it('an admin port that is taken stops the start as well', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  try {
    const { error } = await refused({ COUNTERSIGN_ADMIN_PORT: String(port) });
    expect(error).toMatchObject({ code: 'listen-failed', detail: expect.stringContaining(String(port)) });
  } finally {
    other.close();
  }
});

it('a faulty file is told fault by fault, with line and column', async () => {
  const yaml =
    'prot: 80\nlimits:\n  body: much\nroutes:\n  - path: /orders\n    upstream: http://127.0.0.1:9/x\n';
  const { said, error } = await refused({}, yaml);
  const place = (line: number, column: number) => `${data}.yaml:${line}:${column} `;
  expect(said).toContain(`countersign: ${place(1, 1)}prot: is not a setting; did you mean port?\n`);
  expect(said).toContain(`\n${place(3, 9)}limits.body: must be a number of bytes`);
  expect(said).toContain(`\n${place(5, 5)}routes[0].role: is missing`);
  expect(said).toContain(`\n${place(6, 15)}routes[0].upstream: must be an origin`);
  expect(error).toMatchObject({
    code: 'config-invalid',
    errors: [
      { path: 'prot', line: 1, column: 1 },
      { path: 'limits.body', line: 3, column: 9 },
      { path: 'routes[0].role', line: 5, column: 5 },
      { path: 'routes[0].upstream', line: 6, column: 15 },
    ],
  });
  expect(existsSync(data)).toBe(false);
});

it('a file that is not there, or not YAML, is told', async () => {
  expect((await refused({ COUNTERSIGN_CONFIG: '/nowhere.yaml' })).said).toContain(
    "/nowhere.yaml can't be read",
  );
  expect((await refused({}, 'port: [80\n')).said).toMatch(/\.yaml:\d+:\d+ /);
});

it('a master key that is faulty is told and not repeated', async () => {
  const { said } = await refused({ COUNTERSIGN_MASTER_KEY: 'c2VjcmV0LXRlYQ==' });
  expect(said).toContain('must be 32 bytes in base64');
  expect(said).not.toContain('c2VjcmV0');
});
