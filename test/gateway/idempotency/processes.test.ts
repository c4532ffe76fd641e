/** Gateways that are killed amid a call, and two of them on one folder. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { addConsumer } from '../../../src/consumers/registration.ts';
import { SqliteStore } from '../../../src/storage/sqlite/store.ts';
import { rawUpstream } from '../upstream/raw-upstream.ts';
import {
  type Answer,
  bytesOf,
  Connection,
  type Draft,
  type Key,
  problem,
  send,
  sign,
  type Target,
} from '../wire.ts';
import { AUTHORITY, gatewayProcess } from './gateway-process.ts';

let folder: string;
let data: string;
let shop: Key;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-once-'));
  data = join(folder, 'data');
  const clock = Date;
  const store = new SqliteStore({ folder: data, clock, skew: 30, masterKey: undefined });
  const { keyid, secret } = await store.commitGroup.run('add', (tx) =>
    addConsumer(
      tx.consumers,
      store.vault,
      { name: 'shop', roles: ['counters'] },
      Math.floor(Date.now() / 1000),
    ),
  );
  shop = { keyid, secret };
  store.close();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const signed = (gateway: Target, draft: Draft) => sign(gateway, shop, { host: AUTHORITY, ...draft });
const keyed = (key: string): [string, string][] => [['Idempotency-Key', `"${key}"`]];

function outcome(answer: Answer): string {
  if (answer.headers.has('countersign-refusal')) return problem(answer).code;
  const replayed = answer.headers.get('idempotent-replayed') === 'true' ? ' again' : '';
  return `${answer.status} ${answer.body}${replayed}`;
}

function query(sql: string): unknown {
  const database = new Sqlite(join(data, 'countersign.db'), { readonly: true });
  try {
    return database.prepare(sql).pluck().get();
  } finally {
    database.close();
  }
}

describe('a gateway that is killed while an upstream works', () => {
  it('asked again after its restart, says outcome-unknown to POST and forwards PUT again', async () => {
    let wake = () => {};
    const upstream = await rawUpstream(() => wake());
    onTestFinished(() => upstream.close());
    const settings = {
      routes: [
        { path: '/orders', upstream: upstream.upstream, role: 'any', idempotency: 'key', timeout: 600 },
      ],
    };
    const first = await gatewayProcess(folder, settings);
    const drafts: Draft[] = [
      { target: '/orders', headers: keyed('post') },
      { target: '/orders', headers: keyed('put'), method: 'PUT', body: '{}' },
    ];
    const bothArrived = new Promise<void>((resolve) => {
      wake = () => upstream.requests.length === 2 && resolve();
    });
    const connections = await Promise.all(drafts.map(() => Connection.open(first.port)));
    for (const [i, draft] of drafts.entries()) connections[i]?.write(bytesOf(signed(first, draft)));
    await bothArrived;
    const waiting = await gatewayProcess(folder, settings);
    for (const draft of drafts) {
      expect(outcome(await send(waiting, signed(waiting, draft)))).toBe('idempotency-in-flight');
    }
    await first.kill();

    const answering = await rawUpstream((socket) =>
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone'),
    );
    onTestFinished(() => answering.close());
    const [route] = settings.routes;
    const next = await gatewayProcess(folder, { routes: [{ ...route, upstream: answering.upstream }] });
    const [post = {}, put = {}] = drafts;
    expect(outcome(await send(next, signed(next, post)))).toBe('outcome-unknown');
    expect(outcome(await send(waiting, signed(waiting, post)))).toBe('outcome-unknown');
    const shown = await send(next, signed(next, { method: 'GET', target: '/v1/operations/post' }));
    expect(JSON.parse(shown.body)).toMatchObject({ status: 'unknown', ended: null, resultStatus: null });
    expect(answering.requests).toHaveLength(0);
    expect(outcome(await send(next, signed(next, put)))).toBe('200 done');
    expect(outcome(await send(waiting, signed(waiting, put)))).toBe('200 done again');
    expect(answering.requests).toHaveLength(1);
  });
});

describe('two gateways on one folder', () => {
  it('given the same message at the same instant, 200 times, bring about exactly one effect each', async () => {
    const gateways = [await gatewayProcess(folder), await gatewayProcess(folder)] as const;
    const times = 200;
    const winners: number[] = [];
    for (let i = 1; i <= times; i++) {
      const request = signed(gateways[0], { target: '/counters/raced', body: '{"by":1}' });
      const answers = await Promise.all(gateways.map((gateway) => send(gateway, request)));
      const outcomes = answers.map(outcome);
      expect([...outcomes].sort()).toEqual([`201 {"value":${i}}`, `201 {"value":${i}} again`]);
      winners.push(outcomes.findIndex((each) => !each.endsWith('again')));
    }
    expect(query("SELECT value FROM state WHERE collection = 'counters' AND id = 'raced'")).toBe(
      String(times),
    );
    expect(query("SELECT count(*) FROM audit WHERE subject = 'counter:raced'")).toBe(times);
    // Had one of them won every time, they would hardly have raced.
    expect(new Set(winners).size).toBe(2);

    const all = () => gateways.flatMap(({ deliveries }) => deliveries);
    await expect.poll(() => all().length, { timeout: 20_000 }).toBe(times);
    expect(new Set(all().map(({ key }) => key)).size).toBe(times);
    for (const { deliveries } of gateways) {
      const values = deliveries.map(({ payload }) => (payload as { value: number }).value);
      expect(values).toEqual([...values].sort((a, b) => a - b));
    }
    expect(query('SELECT count(*) FROM outbox')).toBe(0);
  });
});

it('what is in the outbox lies sealed', async () => {
  const store = new SqliteStore({ folder: data, clock: Date, skew: 30, masterKey: undefined });
  await store.commitGroup.run('send', (tx) => tx.outbox.add({ topic: 'mail', payload: 'a private word' }));
  store.close();
  expect(readFileSync(join(data, 'countersign.db')).includes('a private word')).toBe(false);
  expect(query('SELECT topic FROM outbox')).toBe('mail');
});
