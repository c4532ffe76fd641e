/**
 * `countersign explain` as it is typed, with a real gateway behind a proxy that a test makes mistakes with.
 * @module
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { startTestGateway, TestClock, type TestGateway } from '../../src/testing.ts';
import { countersign, endAll, type Outcome, temporaryFolder } from '../e2e/processes.ts';
import { type Draft, type Key, type RawRequest, sign } from '../gateway/wire.ts';
import { type Mistake, startTestProxy, type TestProxy, withField } from './test-proxy.ts';

/** A public origin of the gateway besides the proxy's. */
export const INTERNAL = 'gateway.internal';
/** A base64 secret that no gateway knows. */
export const OTHER_SECRET = Buffer.alloc(64, 9).toString('base64');
export const GET = { method: 'GET', target: '/v1/whoami' };
/** A call with a covered field whose value the gateway masks. */
export const NOTE = {
  ...GET,
  headers: [['X-Note', 'tea  and milk']],
  cover: ['@method', '@target-uri', 'x-note'],
} as const;

export const changesHost: Mistake = ({ lines }) => ({ lines: withField(lines, 'host', () => INTERNAL) });

export interface Explained {
  readonly code: number | null;
  readonly components: { id: string; ours: string | null; gateway: string | null; verdict: string }[];
  readonly firstDifference: { id: string; line: number; column: number | null } | null;
  readonly causes: { code: string; detail: string }[];
  readonly gateway: { source: string; status: number | null; code: string | null } | null;
  readonly macHolds: boolean | null;
  readonly notes: string[];
}

export const codes = ({ causes }: Explained) => causes.map(({ code }) => code);

/** What one file of tests works with, from its first test to its last. */
export interface Desk {
  readonly proxy: TestProxy;
  readonly gateway: TestGateway;
  /** The demo consumer's. */
  readonly key: Key;
  /** Where requests go, and the clock that they are signed by: that of this machine. */
  readonly target: { readonly port: number; readonly clock: { now(): number } };
  signed(draft?: Draft, by?: Key): RawRequest;
  /** Writes a file that is its owner's alone, and returns its path. */
  file(content: Buffer | string | object): string;
  explained(request: Buffer | string | object, args?: readonly string[], by?: Key): Promise<Outcome>;
  explainedJson(request: Buffer | string | object, args?: readonly string[], by?: Key): Promise<Explained>;
}

/** Sets the desk for the tests of the file that calls it. After each, no output has shown the secret. */
export function setDesk(): Desk {
  let folder: string;
  let proxy: TestProxy;
  let gateway: TestGateway;
  let key: Key;
  let files = 0;
  let printed: Outcome[] = [];

  beforeAll(async () => {
    folder = temporaryFolder();
    proxy = await startTestProxy();
    const origins = [`http://127.0.0.1:${proxy.port}`, `http://${INTERNAL}`];
    gateway = await startTestGateway({ clock: new TestClock(), settings: { origins } });
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
    proxy.forwardTo = gateway.port;
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

  const desk: Desk = {
    get proxy() {
      return proxy;
    },
    get gateway() {
      return gateway;
    },
    get key() {
      return key;
    },
    get target() {
      return { port: proxy.port, clock: Date };
    },
    signed: (draft = {}, by = key) => sign(desk.target, by, draft),
    file(content) {
      const path = join(folder, `file-${files++}`);
      const isText = typeof content === 'string' || Buffer.isBuffer(content);
      writeFileSync(path, isText ? content : JSON.stringify(content), { mode: 0o600 });
      return path;
    },
    async explained(request, args = [], by = key) {
      const credentials = desk.file(by);
      const outcome = await countersign([
        'explain',
        '--credentials',
        credentials,
        desk.file(request),
        ...args,
      ]).ended;
      printed.push(outcome);
      return outcome;
    },
    async explainedJson(request, args = [], by) {
      const { code, stdout, stderr } = await desk.explained(request, [...args, '--json'], by);
      expect(stderr).toBe('');
      return { code, ...JSON.parse(stdout) };
    },
  };
  return desk;
}

/** A port of this machine where nothing listens any more. */
export async function closedPort(): Promise<number> {
  const closed = await startTestProxy();
  await closed.close();
  return closed.port;
}
