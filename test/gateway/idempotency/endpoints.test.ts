/** Endpoints of a host program, asked again in every way over the wire. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { epochSeconds } from '../../../src/clock.ts';
import { recordId } from '../../../src/idempotency/run.ts';
import { startTestGateway, type TestGateway } from '../../../src/testing.ts';
import {
  type Answer,
  type Draft,
  type Key,
  problem,
  type RawRequest,
  send,
  sign,
  verifyAnswer,
} from '../wire.ts';
import { counters } from './counter.ts';

let gateway: TestGateway;
let shop: Key;
let other: Key;
let names = 0;

beforeAll(async () => {
  gateway = await startTestGateway({ endpoints: counters });
  shop = await gateway.addConsumer('shop', 'counters');
  other = await gateway.addConsumer('other', 'counters');
});
afterAll(() => gateway.close());

const fresh = () => `n${++names}`;
const keyed = (key: string): [string, string][] => [['Idempotency-Key', key]];

/** Sends, and holds that the answer is signed. */
async function ask(request: RawRequest, key: Key = shop): Promise<Answer> {
  const answer = await send(gateway, request);
  verifyAnswer(answer, request, key);
  return answer;
}

const post = (target: string, draft: Draft = {}, key: Key = shop) =>
  sign(gateway, key, { body: '{"by":1}', target, ...draft });

function counted(name: string): Promise<unknown> {
  return gateway.store.commitGroup.run('look', (tx) => tx.state.get('counters', name));
}

function auditRows(subject: string): number {
  return [...gateway.store.audit.rows()].filter(
    (row) => row.subject === subject && row.action.startsWith('counter'),
  ).length;
}

function outcome(answer: Answer): string {
  const replayed = answer.headers.get('idempotent-replayed') === 'true' ? ' again' : '';
  return answer.status < 300 ? `${answer.status} ${answer.body}${replayed}` : problem(answer).code;
}

describe('class nonce', () => {
  it('the same message again changes nothing and gets the first result, freshly signed', async () => {
    const name = fresh();
    const request = post(`/counters/${name}`);
    const first = await ask(request);
    gateway.clock.advance(5);
    const second = await ask(request);
    expect([first, second].map(outcome)).toEqual(['201 {"value":1}', '201 {"value":1} again']);
    expect(second.headers.get('location')).toBe('/here');
    expect(second.headers.get('signature')).not.toBe(first.headers.get('signature'));
    expect(await counted(name)).toBe(1);
    expect(auditRows(`counter:${name}`)).toBe(1);
  });

  it('an answer that holds nothing is sent, and given again, as nothing', async () => {
    const name = fresh();
    const request = post(`/silent/${name}`);
    for (const answer of [await ask(request), await ask(request)]) {
      expect([answer.status, answer.body, answer.headers.get('content-type')]).toEqual([202, '', undefined]);
    }
    expect(await counted(name)).toBe(1);
  });

  it('another message is another effect', async () => {
    const name = fresh();
    await ask(post(`/counters/${name}`));
    expect(outcome(await ask(post(`/counters/${name}`)))).toBe('201 {"value":2}');
  });

  it('another message under the same nonce gets neither an effect nor the first result', async () => {
    const name = fresh();
    const nonce = 'the-very-same-nonce-'.padEnd(30, String(names));
    await ask(post(`/counters/${name}`, { nonce }));
    expect(outcome(await ask(post(`/counters/${name}-2`, { nonce })))).toBe('nonce-replayed');
    expect(await counted(`${name}-2`)).toBeUndefined();
  });

  it('what was refused gets nonce-replayed, and may be signed again with a new nonce', async () => {
    const name = fresh();
    const bad = post(`/counters/${name}`, { body: '{"by":2}' });
    expect(outcome(await ask(bad))).toBe('validation-failed');
    expect(outcome(await ask(bad))).toBe('nonce-replayed');
    expect(outcome(await ask(post(`/counters/${name}`)))).toBe('201 {"value":1}');
  });

  it('a covered Idempotency-Key serves instead, and the same bytes then get nonce-replayed', async () => {
    const name = fresh();
    const request = post(`/counters/${name}`, { headers: keyed(`"${name}"`) });
    expect(outcome(await ask(request))).toBe('201 {"value":1}');
    expect(outcome(await ask(request))).toBe('nonce-replayed');
    const again = post(`/counters/${name}`, { headers: keyed(`"${name}"`) });
    expect(outcome(await ask(again))).toBe('201 {"value":1} again');
    expect(await counted(name)).toBe(1);
  });

  it('a result with a secret is kept only under an Idempotency-Key', async () => {
    const name = fresh();
    const bare = post(`/secrets/${name}`);
    await ask(bare);
    expect(outcome(await ask(bare))).toBe('nonce-replayed');
    const draft = { headers: keyed(`"secret-${name}"`) };
    const first = await ask(post(`/secrets/${name}`, draft));
    expect((await ask(post(`/secrets/${name}`, draft))).body).toBe(first.body);
  });

  it.each([
    ['failing', 'conflict'],
    ['slow', 'internal-error'],
  ])('one that is %s in a turn with others is rolled back alone, its nonce used up', async (path, code) => {
    const name = fresh();
    const bad = post(`/${path}/${name}`);
    const good = Array.from({ length: 20 }, (_, i) => post(`/counters/${name}-${i % 4}`));
    const answers = await Promise.all(
      [...good.slice(0, 10), bad, ...good.slice(10)].map((each) => ask(each)),
    );
    expect(answers.map(({ status }) => status).filter((status) => status === 201)).toHaveLength(20);
    expect(outcome(answers[10] as Answer)).toBe(code);
    expect(await counted(name)).toBeUndefined();
    expect(await Promise.all([0, 1, 2, 3].map((i) => counted(`${name}-${i}`)))).toEqual([5, 5, 5, 5]);
    expect(outcome(await ask(bad))).toBe('nonce-replayed');
  });

  it('whoever lost the role in between gets no stored result', async () => {
    const leaver = await gateway.addConsumer('leaver', 'counters');
    const name = fresh();
    const request = post(`/counters/${name}`, {}, leaver);
    const under = post(`/counters/${name}`, { headers: keyed(`"leaver"`) }, leaver);
    await ask(request, leaver);
    await ask(under, leaver);
    await gateway.store.commitGroup.run('take the role', (tx) =>
      tx.consumers.update('leaver', { roles: [] }),
    );
    expect(outcome(await ask(request, leaver))).toBe('role-missing');
    const again = post(`/counters/${name}`, { headers: keyed(`"leaver"`) }, leaver);
    expect(outcome(await ask(again, leaver))).toBe('role-missing');
    await gateway.store.commitGroup.run('disable', (tx) =>
      tx.consumers.disable('leaver', epochSeconds(gateway.clock)),
    );
    expect(outcome(await ask(request, leaver))).toBe('nonce-replayed');
    const last = post(`/counters/${name}`, { headers: keyed(`"leaver"`) }, leaver);
    expect(outcome(await ask(last, leaver))).toBe('key-inactive');
  });
});

describe('class key', () => {
  it('a retry that is signed afresh gets the first result, and its life is told', async () => {
    const name = fresh();
    const draft = { headers: keyed(`"${name}"`) };
    const request = post(`/keyed/${name}`, draft);
    const first = await ask(request);
    const expires = epochSeconds(gateway.clock) + 24 * 3600;
    gateway.clock.advance(3600);
    const second = await ask(post(`/keyed/${name}`, draft));
    expect([first, second].map(outcome)).toEqual(['201 {"value":1}', '201 {"value":1} again']);
    for (const answer of [first, second]) {
      expect(Number(answer.headers.get('countersign-idempotency-expires'))).toBe(expires);
      expect(answer.headers.get('signature-input')).toContain('"countersign-idempotency-expires"');
    }
  });

  it('is forgotten after its time, and never before', async () => {
    const name = fresh();
    const draft = { headers: keyed(`"${name}"`) };
    await ask(post(`/keyed/${name}`, draft));
    gateway.clock.advance(24 * 3600 - 1);
    await gateway.store.purge();
    expect(outcome(await ask(post(`/keyed/${name}`, draft)))).toBe('201 {"value":1} again');
    gateway.clock.advance(1);
    expect(outcome(await ask(post(`/keyed/${name}`, draft)))).toBe('201 {"value":2}');
    gateway.clock.advance(24 * 3600);
    await gateway.store.purge();
    const left = await gateway.store.commitGroup.run('look', (tx) => tx.records.find('none'));
    expect(left).toBeUndefined();
    expect(outcome(await ask(post(`/keyed/${name}`, draft)))).toBe('201 {"value":3}');
  });

  it.each(['POST', 'PATCH'])('%s must have a key', async (method) => {
    expect(outcome(await ask(post(`/keyed/${fresh()}`, { method })))).toBe('idempotency-key-missing');
  });

  it('PUT may go without a key, and its message is single-use', async () => {
    const name = fresh();
    const request = post(`/keyed/${name}`, { method: 'PUT' });
    expect(outcome(await ask(request))).toBe('201 {"value":1}');
    expect(outcome(await ask(request))).toBe('nonce-replayed');
    expect(await counted(name)).toBe(1);
  });

  it.each<[string, (name: string) => Draft & { target?: string }]>([
    ['another body', () => ({ body: '{ "by": 1 }' })],
    ['another path', (name) => ({ target: `/keyed/${name}-2` })],
    ['another query', (name) => ({ target: `/keyed/${name}?a` })],
    ['another method', () => ({ method: 'PUT' })],
    ['another covered field', (name) => ({ headers: [...keyed(`"${name}"`), ['Prefer', 'x']] })],
  ])('%s under the same key is refused', async (_, change) => {
    const name = fresh();
    const draft = { headers: keyed(`"${name}"`) };
    await ask(post(`/keyed/${name}`, draft));
    expect(outcome(await ask(post(`/keyed/${name}`, { ...draft, ...change(name) })))).toBe(
      'idempotency-mismatch',
    );
    expect(await counted(name)).toBe(1);
  });

  it('a signature that covers the same in another order is the same request', async () => {
    const name = fresh();
    const headers = keyed(`"${name}"`);
    const cover = ['@method', '@target-uri', 'content-type', 'content-digest', 'idempotency-key'];
    await ask(post(`/keyed/${name}`, { headers, cover }));
    const again = post(`/keyed/${name}`, { headers, cover: [...cover].reverse() });
    expect(outcome(await ask(again))).toBe('201 {"value":1} again');
  });

  it('the same key of another consumer is another key', async () => {
    const name = fresh();
    const draft = { headers: keyed(`"${name}"`) };
    await ask(post(`/keyed/${name}`, draft));
    expect(outcome(await ask(post(`/keyed/${name}`, draft, other), other))).toBe('201 {"value":2}');
  });

  it('what was refused stores nothing: the key is still free', async () => {
    const name = fresh();
    const headers = keyed(`"${name}"`);
    expect(outcome(await ask(post(`/keyed/${name}`, { headers, body: '{"by":2}' })))).toBe(
      'validation-failed',
    );
    expect(outcome(await ask(post(`/keyed/${name}`, { headers })))).toBe('201 {"value":1}');
  });

  it('one key in fifty messages at once is one effect', async () => {
    const name = fresh();
    const requests = Array.from({ length: 50 }, () =>
      post(`/keyed/${name}`, { headers: keyed(`"${name}"`) }),
    );
    const answers = await Promise.all(requests.map((each) => ask(each)));
    expect(answers.filter((answer) => outcome(answer) === '201 {"value":1}')).toHaveLength(1);
    expect(answers.filter((answer) => outcome(answer) === '201 {"value":1} again')).toHaveLength(49);
    expect(await counted(name)).toBe(1);
  });

  it.each([
    ['a token', 'abc'],
    ['a number', '7'],
    ['an empty string', '""'],
    ['a string of 256', `"${'k'.repeat(256)}"`],
    ['a list', '"a", "b"'],
    ['bytes', ':YQ==:'],
    ['a string that has no end', '"a'],
  ])('%s is no key', async (_, key) => {
    expect(outcome(await ask(post(`/keyed/${fresh()}`, { headers: keyed(key) })))).toBe(
      'idempotency-key-invalid',
    );
  });

  it.each([1, 255])('a string of %d is one', async (length) => {
    const key = `"${'~'.repeat(length)}"`;
    expect((await ask(post(`/keyed/${fresh()}`, { headers: keyed(key) }))).status).toBe(201);
  });

  it('a key that stands twice, or that the signature does not cover, is refused', async () => {
    const headers: [string, string][] = [
      ['Idempotency-Key', '"a"'],
      ['Idempotency-Key', '"a"'],
    ];
    expect(problem(await send(gateway, post('/keyed/x', { headers }))).code).toBe('request-malformed');
    const cover = ['@method', '@target-uri', 'content-type', 'content-digest'];
    const uncovered = post('/keyed/x', { headers: keyed('"a"'), cover });
    expect(problem(await send(gateway, uncovered)).code).toBe('signature-policy');
  });

  it('results lie sealed in the file', async () => {
    const name = fresh();
    const draft = { headers: keyed(`"${name}"`) };
    await ask(post(`/keyed/${name}`, draft));
    const record = await gateway.store.done.find(
      recordId({
        by: 'key',
        principal: `consumer:shop ${gateway.store.consumers.find('shop')?.id}`,
        key: name,
      }),
    );
    expect(record?.status).toBe('done');
    expect(record?.sealedResult?.includes('value')).toBe(false);
  });
});

describe('GET /v1/operations/{key}', () => {
  const show = (key: string, who: Key = shop) =>
    ask(sign(gateway, who, { method: 'GET', target: `/v1/operations/${key}` }), who);

  it('tells what is known, to whoever made the call and to nobody else', async () => {
    const name = fresh();
    await ask(post(`/keyed/${name}`, { headers: keyed(`"${name}/a b"`) }));
    const at = new Date(epochSeconds(gateway.clock) * 1000).toISOString();
    const shown = await show(`${name}%2Fa%20b`);
    expect(JSON.parse(shown.body)).toEqual({
      key: `${name}/a b`,
      status: 'done',
      begun: at,
      ended: at,
      resultStatus: 201,
      expires: new Date((epochSeconds(gateway.clock) + 24 * 3600) * 1000).toISOString(),
    });
    expect(outcome(await show(`${name}%2Fa%20b`, other))).toBe('not-found');
    expect(outcome(await show('never'))).toBe('not-found');
  });
});

describe('at the start', () => {
  const [first] = counters;
  if (!first) throw new Error('no endpoint');

  it.each([
    ['/v1/consumers/{id}', "the gateway's own ("],
    ['/v1/echo', "the gateway's own (echo)"],
    ['/v1/{anything}', "the gateway's own"],
    ['/v1/operations/{key}', "the gateway's own (operation.show)"],
    ['/console/x', "the gateway's own pages"],
    ['/orders', 'the path of a route to an upstream'],
    ['counters', 'a path that is none'],
    ['/a//b', 'a path that is none'],
  ])('an endpoint at %s is refused with its name', async (path, why) => {
    const route = { path: '/orders', upstream: 'http://127.0.0.1:9', role: 'any' };
    const start = startTestGateway({ endpoints: [{ ...first, path }], settings: { routes: [route] } });
    await expect(start).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining(why),
    });
    await expect(start).rejects.toThrow('counter.raise-by-nonce');
  });

  it('two endpoints that could answer the same call are refused', async () => {
    const endpoints = [first, { ...first, path: '/counters/x' }];
    await expect(startTestGateway({ endpoints })).rejects.toThrow('could both answer');
  });

  it('an endpoint may lie under /v1/ where nothing else does', async () => {
    const started = await startTestGateway({ endpoints: [{ ...first, path: '/v1/counters/{name}' }] });
    const key = await started.addConsumer('shop', 'counters');
    const request = sign(started, key, { target: '/v1/counters/a', body: '{"by":1}' });
    expect((await send(started, request)).status).toBe(201);
    await started.close();
  });
});
