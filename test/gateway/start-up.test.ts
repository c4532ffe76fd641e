/** Tasks before the first request: once, in order, each in its time, and a start that stops with the name. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { runStartUp, type StartUpTask } from '../../src/gateway/start-up.ts';
import { startTestGateway } from '../../src/testing.ts';
import { capturedLog } from './captured-log.ts';

const task = (name: string, run: StartUpTask['run'], timeout?: number): StartUpTask => ({
  name,
  run,
  ...(timeout !== undefined && { timeout }),
});
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: Error & { code?: string }) => ({ code: error.code, message: error.message, cause: error.cause }),
  );

describe('tasks of the start', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('run one after the other, in their order, and leave no timer behind', async () => {
    const seen: string[] = [];
    const slow = task('slow', async () => {
      seen.push('slow begins');
      await Promise.resolve();
      seen.push('slow ends');
    });
    await runStartUp([slow, task('quick', async () => seen.push('quick'))]);
    expect(seen).toEqual(['slow begins', 'slow ends', 'quick']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('stop the start with the name of the one that fails, and its reason; the rest do not run', async () => {
    const reason = new Error('no cache there');
    const rest = vi.fn(async () => {});
    const told = await failure(
      runStartUp([
        task('warm the cache', async () => {
          throw reason;
        }),
        task('rest', rest),
      ]),
    );
    expect(told).toEqual({
      code: 'start-up-failed',
      message: 'The start-up task "warm the cache" has failed, so nothing is served: no cache there.',
      cause: reason,
    });
    expect(rest).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each<[string, StartUpTask['run']]>([
    [
      'that throws before it promises anything',
      () => {
        throw new Error('at once');
      },
    ],
    ['that rejects with nothing', () => Promise.reject()],
    ['that rejects with text', () => Promise.reject('text')],
  ])('fail by one %s too', async (_what, run) => {
    expect(await failure(runStartUp([task('odd', run)]))).toMatchObject({ code: 'start-up-failed' });
  });

  it.each([
    ['30 seconds', undefined, 30],
    ['the time that it says', 2, 2],
  ])('may take %s each, and are told when it is over', async (_what, timeout, seconds) => {
    let signal: AbortSignal | undefined;
    const keepSignal = (given: AbortSignal) => {
      signal = given;
      return new Promise(() => {});
    };
    const hanging = task('hang', keepSignal, timeout);
    const told = failure(runStartUp([task('first', async () => {}), hanging]));
    let settled = false;
    told.then(() => {
      settled = true;
    });
    await vi.advanceTimersByTimeAsync(seconds * 1000 - 1);
    expect([settled, signal?.aborted]).toEqual([false, false]);
    await vi.advanceTimersByTimeAsync(1);
    expect(await told).toMatchObject({
      code: 'start-up-failed',
      message: `The start-up task "hang" has failed, so nothing is served: it took longer than ${seconds} s.`,
    });
    expect(signal?.aborted).toBe(true);
  });
});

describe('a gateway', () => {
  it('listens once its tasks are done', async () => {
    const { logger, text } = capturedLog();
    const heard = () => text().includes('"listening"');
    let early: boolean | undefined;
    const look = task('look', async () => {
      await new Promise(setImmediate);
      early = heard();
    });
    const gateway = await startTestGateway({ logger, startUp: [look] });
    expect([early, heard()]).toEqual([false, true]);
    await gateway.close();
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['has no name', { name: undefined }, 'startUp[1] has no name'],
    ['has an empty name', { name: ' ' }, 'startUp[1] has no name'],
    ['has nothing to run', { run: 'later' }, 'startUp[1] ("two") has no function "run"'],
    [
      'has a timeout in words',
      { timeout: '5s' },
      'startUp[1] ("two") has a timeout that is no number of seconds',
    ],
    [
      'has a member that nobody reads',
      { timeOut: 5 },
      'startUp[1] ("two") has an unknown member "timeOut"; there are name, run, timeout',
    ],
  ])('is not started with a task that %s, and none is run', async (_what, change, message) => {
    const run = vi.fn(async () => {});
    const startUp = [task('one', run), { ...task('two', run), ...change }];
    const told = await failure(startTestGateway({ startUp }).then((gateway) => gateway.close()));
    expect(told).toMatchObject({ code: 'config-invalid', message: expect.stringContaining(message) });
    expect(run).not.toHaveBeenCalled();
  });

  it('is started with a task that is an object of a class, whatever that keeps', async () => {
    class Warming implements StartUpTask {
      readonly name = 'warm the cache';
      warmed = false;
      async run(): Promise<void> {
        this.warmed = true;
      }
    }
    const warming = new Warming();
    await (await startTestGateway({ startUp: [warming] })).close();
    expect(warming.warmed).toBe(true);
  });

  it('that fails at one never listens, and lets go of its folder', async () => {
    const { logger, text } = capturedLog();
    const folder = mkdtempSync(join(tmpdir(), 'countersign-start-up-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const failing = task('warm up', () => Promise.reject(new Error('too cold')));
    const told = await failure(startTestGateway({ logger, folder, startUp: [failing] }));
    expect(told).toMatchObject({ code: 'start-up-failed', message: expect.stringContaining('"warm up"') });
    expect(text()).not.toContain('"listening"');
    const next = await startTestGateway({ folder });
    expect((await fetch(`${next.url}/readyz`)).status).toBe(200);
    await next.close();
  });
});
