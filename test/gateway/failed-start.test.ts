/** Wherever a start fails, what it had opened until then is closed again: no timer, no watch, no port is left. */
import { once } from 'node:events';
import type { FSWatcher } from 'node:fs';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import type { GatewayOptions } from '../../src/index.ts';
import { Closers } from '../../src/main/closers.ts';
import { startGateway } from '../../src/main.ts';

const watchers = vi.hoisted(() => new Set<FSWatcher>());
vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  function watch(path: string, listener: () => void): FSWatcher {
    const watcher = fs.watch(path, listener);
    watchers.add(watcher);
    watcher.once('close', () => watchers.delete(watcher));
    return watcher;
  }
  return { ...fs, watch };
});

const folder = mkdtempSync(join(tmpdir(), 'countersign-failed-start-'));
const data = join(folder, 'data');
const taken = createServer();

beforeAll(async () => {
  taken.listen(0, '127.0.0.1');
  await once(taken, 'listening');
});
afterAll(() => {
  taken.close();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'],
    shouldAdvanceTime: true,
  });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Over TLS with a root of this machine, so that there is a certificate to keep fresh. */
function start(options: GatewayOptions = {}, variables: Record<string, string> = {}) {
  const all = { COUNTERSIGN_DATA: data, COUNTERSIGN_PORT: '0', ...variables };
  return startGateway(loadConfig(all, { developmentTls: true }), options);
}

/** What still runs, once what was closed has had a turn to tell. */
async function running() {
  await new Promise(setImmediate);
  return { timers: vi.getTimerCount(), watchers: watchers.size };
}

it('a gateway that runs has timers and a watch, and none after its end, however often it is ended', async () => {
  const gateway = await start();
  const { timers, watchers } = await running();
  expect([timers > 3, watchers]).toEqual([true, 1]);
  await Promise.all([gateway.close(), gateway.close()]);
  await gateway.close();
  expect(await running()).toEqual({ timers: 0, watchers: 0 });
});

describe('nothing is left of a start that fails', () => {
  it('where the store can not be opened, though the certificate was there', async () => {
    const file = join(data, 'countersign.db');
    renameSync(file, `${file}.whole`);
    writeFileSync(file, 'tea '.repeat(5000), { mode: 0o600 });
    await expect(start()).rejects.toMatchObject({ code: 'store-failed' });
    expect(await running()).toEqual({ timers: 0, watchers: 0 });
    renameSync(`${file}.whole`, file);
  });

  it('where an endpoint has the path of another', async () => {
    const endpoint = {
      name: 'mine',
      role: 'mine',
      idempotency: 'nonce' as const,
      parameters: () => ({}),
      loadState: async () => ({}),
      updateState: () => ({}),
      apply: () => {},
      getResponse: () => ({ status: 200, body: {} }),
      audit: () => ({ subject: 'mine' }),
    };
    const endpoints = [{ method: 'POST' as const, path: '/v1/echo', endpoint }];
    await expect(start({ endpoints })).rejects.toMatchObject({ code: 'config-invalid' });
    expect(await running()).toEqual({ timers: 0, watchers: 0 });
  });

  it('where a task of the host fails', async () => {
    const run = () => Promise.reject(new Error('too cold'));
    const startUp = [{ name: 'warm up', run }];
    await expect(start({ startUp })).rejects.toMatchObject({ code: 'start-up-failed' });
    expect(await running()).toEqual({ timers: 0, watchers: 0 });
  });

  it.each(['COUNTERSIGN_PORT', 'COUNTERSIGN_ADMIN_PORT'])('where %s is taken', async (name) => {
    const { port } = taken.address() as AddressInfo;
    await expect(start({}, { [name]: String(port) })).rejects.toMatchObject({ code: 'listen-failed' });
    expect(await running()).toEqual({ timers: 0, watchers: 0 });
  });
});

describe('what was opened', () => {
  it('is closed in the reverse order, one after the other, once', async () => {
    const closers = new Closers();
    const seen: string[] = [];
    for (const name of ['store', 'listener']) {
      closers.add(async () => {
        seen.push(`${name} begins`);
        await new Promise(setImmediate);
        seen.push(`${name} ends`);
      });
    }
    await Promise.all([closers.close(), closers.close()]);
    expect(seen).toEqual(['listener begins', 'listener ends', 'store begins', 'store ends']);
  });

  it('is closed though what was opened later can not be, and the failure is told', async () => {
    const closers = new Closers();
    const store = vi.fn();
    closers.add(store);
    closers.add(() => {
      throw new Error('stuck');
    });
    await expect(closers.close()).rejects.toThrow('stuck');
    expect(store).toHaveBeenCalledOnce();
  });
});
