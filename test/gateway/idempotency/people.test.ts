/** Endpoints that people call, and open ones, asked again in every way. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Account } from '../../../src/accounts/account.ts';
import { sessionHash } from '../../../src/accounts/session.ts';
import { ANYONE, PEOPLE } from '../../../src/gateway/call.ts';
import {
  type Endpoint,
  type EndpointPlace,
  endpointRoute,
} from '../../../src/gateway/routes/endpoint-route.ts';
import { sendJson } from '../../../src/gateway/routes/own.ts';
import { startTestGateway, type TestGateway } from '../../../src/testing.ts';
import {
  basic,
  bearer,
  callUnsigned,
  cookie,
  ownPage,
  PeopleUnderTest,
  type Session,
  sessionId,
} from '../people-under-test.ts';
import { type PipelineUnderTest, signedRoute, startPipeline } from '../pipeline-under-test.ts';
import { type Answer, problem, send, sign } from '../wire.ts';

let gateway: TestGateway;
let people: PeopleUnderTest;
let pipeline: PipelineUnderTest;
let ada: Account;
let token: string;
let session: Session;
/** What is done between the judgement of a credential and the unit of work. */
let meanwhile: () => Promise<unknown> = async () => {};
let prepared = 0;

/** Counts its calls in one place. */
function counting(name: string, more: Partial<Counting> = {}): Counting {
  return {
    name,
    role: 'any',
    idempotency: 'nonce',
    parameters: ({ body, prepared }) => ({ body, prepared }),
    loadState: async (tx) => ((await tx.state.get('counted', name)) as number | undefined) ?? 0,
    updateState: (value) => value + 1,
    apply: (tx, value) => tx.state.put('counted', name, value),
    getResponse: (value, { body, prepared }) => ({ status: 201, body: { value, body, prepared } }),
    audit: (value) => ({ subject: name, detail: { value } }),
    ...more,
  };
}
type Counting = Endpoint<{ body: unknown; prepared: number }, number, number, string, number>;

beforeAll(async () => {
  gateway = await startTestGateway();
  people = new PeopleUnderTest(gateway, () => 'https://issuer.example');
  const place: EndpointPlace<number> = {
    schema: null,
    description: { summary: 'Under test', answers: {} },
    async prepare() {
      await meanwhile();
      return ++prepared;
    },
  };
  const open: EndpointPlace<number> = {
    ...place,
    credential: 'none',
    owner: ({ body }) => String((body as { email?: string } | undefined)?.email),
  };
  const route = (endpoint: Counting, more: Partial<EndpointPlace<number>>) =>
    endpointRoute(endpoint, { ...place, ...more }, people.parts);
  const own = (name: string, more: Partial<Counting> = {}) => {
    const made = route(counting(name, more), { credential: ANYONE });
    return { POST: made, PUT: made, DELETE: made };
  };
  pipeline = await startPipeline(
    gateway,
    {
      '/nonce': own('nonce'),
      '/key': own('key', { idempotency: 'key' }),
      '/orders': own('orders', { role: 'orders' }),
      '/open': { POST: endpointRoute(counting('open'), open, people.parts) },
      '/secret': { POST: endpointRoute(counting('secret', { issuesSecret: true }), open, people.parts) },
      '/reader': { GET: signedRoute((ctx) => sendJson(ctx, {}), { credential: PEOPLE }) },
    },
    { people: people.parts, buckets: people.buckets },
  );
  ada = await people.add('orders');
  token = bearer(await people.token(ada));
  session = await people.session(ada);
});
afterAll(async () => {
  await pipeline.close();
  await gateway.close();
});

let keys = 0;
const fresh = () => `Idempotency-Key: "k${++keys}"`;
const counted = (name: string) =>
  gateway.store.commitGroup.run('look', (tx) => tx.state.get('counted', name)) as Promise<number | undefined>;

function call(first: string, fields: readonly string[], body?: unknown): Promise<Answer> {
  const type = body === undefined ? [] : ['Content-Type: application/json'];
  return callUnsigned(
    pipeline,
    first,
    [...fields, ...type],
    body === undefined ? undefined : JSON.stringify(body),
  );
}

function outcome(answer: Answer): string {
  if (answer.status >= 300) return problem(answer).code;
  const replayed = answer.headers.get('idempotent-replayed') === 'true' ? ' again' : '';
  return `${JSON.parse(answer.body).value}${replayed}`;
}

describe("a person's call that changes something", () => {
  it.each(['POST /nonce', 'POST /key', 'PUT /nonce', 'DELETE /nonce', 'DELETE /key'])(
    '%s needs an Idempotency-Key, and does nothing without',
    async (first) => {
      const before = [await counted('nonce'), await counted('key'), prepared];
      for (const fields of [[token], [basic(ada)], [cookie(session), ...ownPage(pipeline, session)]]) {
        expect(outcome(await call(first, fields))).toBe('idempotency-key-missing');
      }
      expect([await counted('nonce'), await counted('key'), prepared]).toEqual(before);
    },
  );

  it('is done once under its key, by whatever credential it comes', async () => {
    const key = fresh();
    const before = (await counted('nonce')) ?? 0;
    const answers = [
      await call('POST /nonce', [token, key], { a: 1 }),
      await call('POST /nonce', [token, key], { a: 1 }),
      await call('POST /nonce', [basic(ada), key], { a: 1 }),
      await call('POST /nonce', [cookie(session), ...ownPage(pipeline, session), key], { a: 1 }),
    ];
    const first = `${before + 1}`;
    expect(answers.map(outcome)).toEqual([first, `${first} again`, `${first} again`, `${first} again`]);
    expect(new Set(answers.map(({ body }) => body)).size).toBe(1);
    expect(answers[0]?.headers.get('countersign-idempotency-expires')).toMatch(/^\d+$/);
    expect(await counted('nonce')).toBe(before + 1);
  });

  it('is another under the same key where its target, its method or its body differs', async () => {
    const key = fresh();
    await call('POST /nonce', [token, key], { a: 1 });
    for (const [first, body] of [
      ['POST /nonce', { a: 2 }],
      ['POST /nonce?x=1', { a: 1 }],
      ['PUT /nonce', { a: 1 }],
      ['POST /nonce', undefined],
    ] as const) {
      expect(outcome(await call(first, [token, key], body))).toBe('idempotency-mismatch');
    }
  });

  it("belongs to its person: the same key is another's own", async () => {
    const key = fresh();
    const bob = bearer(await people.token(await people.add()));
    const [first, second] = [await call('POST /nonce', [token, key]), await call('POST /nonce', [bob, key])];
    expect(second.headers.has('idempotent-replayed')).toBe(false);
    expect(outcome(second)).not.toBe(outcome(first));
  });

  it('gets its first result only as long as its role is there', async () => {
    const account = await people.add('orders');
    const [given, key] = [bearer(await people.token(account)), fresh()];
    expect(outcome(await call('POST /orders', [given, key]))).toBe('1');
    await gateway.store.commitGroup.run('take it', (tx) => tx.accounts.update(account.id, { roles: [] }));
    expect(outcome(await call('POST /orders', [given, key]))).toBe('role-missing');
  });

  it('is on record under the random id, without a key', async () => {
    await call('POST /nonce', [token, fresh()]);
    const row = [...gateway.store.audit.rows()].at(-1);
    expect(row).toMatchObject({ actor: ada.id, action: 'nonce', subject: 'nonce' });
    expect(row?.keyid).toBeUndefined();
  });

  it('is not remembered by a route that remembers nothing', async () => {
    expect(problem(await call('GET /reader', [token, fresh()])).code).toBe('idempotency-key-invalid');
  });

  it.each(['k', '"', '""', 'k; a', '"a", "b"', `"${'x'.repeat(256)}"`])('takes no key %s', async (key) => {
    expect(outcome(await call('POST /nonce', [token, `Idempotency-Key: ${key}`]))).toBe(
      'idempotency-key-invalid',
    );
  });
});

describe('between the judgement of a credential and the unit of work', () => {
  it.each<[string, (account: Account, held: Session) => Promise<unknown>]>([
    ['everything is logged out', ({ id }) => inStore((tx) => tx.accounts.raiseGeneration(id))],
    ['the account is disabled', ({ id }) => inStore((tx) => tx.accounts.update(id, { disabledAt: 1 }))],
    [
      'the session ends',
      (_account, held) => inStore((tx) => tx.accounts.sessions.end(sessionHash(sessionId(held)))),
    ],
  ])('%s, and nothing is done', async (_what, act) => {
    const account = await people.add();
    const held = await people.session(account);
    const before = await counted('nonce');
    meanwhile = () => act(account, held);
    const fields = [cookie(held), ...ownPage(pipeline, held), fresh()];
    expect(outcome(await call('POST /nonce', fields))).toBe('token-invalid');
    meanwhile = async () => {};
    expect(await counted('nonce')).toBe(before);
  });

  it('a token ends, and nothing is done', async () => {
    const account = await people.add();
    const given = bearer(await people.token(account));
    const before = await counted('nonce');
    meanwhile = () => inStore((tx) => tx.accounts.raiseGeneration(account.id));
    expect(outcome(await call('POST /nonce', [given, fresh()]))).toBe('token-invalid');
    meanwhile = async () => {};
    expect(await counted('nonce')).toBe(before);
  });

  it('a role is taken, and nothing is done', async () => {
    const account = await people.add('orders');
    const given = bearer(await people.token(account));
    const before = await counted('orders');
    meanwhile = () => inStore((tx) => tx.accounts.update(account.id, { roles: [] }));
    expect(outcome(await call('POST /orders', [given, fresh()]))).toBe('role-missing');
    meanwhile = async () => {};
    expect(await counted('orders')).toBe(before);
  });

  const inStore = (work: Parameters<typeof gateway.store.commitGroup.run>[1]) =>
    gateway.store.commitGroup.run('meanwhile', work);
});

describe('an open endpoint', () => {
  const mine = { email: 'tag-of-mine' };

  it('does it each time, where no Idempotency-Key says that it is the same', async () => {
    const before = (await counted('open')) ?? 0;
    expect(outcome(await call('POST /open', [], mine))).toBe(`${before + 1}`);
    expect(outcome(await call('POST /open', [], mine))).toBe(`${before + 2}`);
  });

  it('does it once under a key, for whom it names', async () => {
    const key = fresh();
    const first = outcome(await call('POST /open', [key], mine));
    expect(outcome(await call('POST /open', [key], mine))).toBe(`${first} again`);
    expect(outcome(await call('POST /open', [key], { email: 'another' }))).not.toContain('again');
    expect(outcome(await call('POST /open', [key], { ...mine, more: 1 }))).toBe('idempotency-mismatch');
  });

  it('prepares before its unit of work, at a repeated call too', async () => {
    const [key, before] = [fresh(), prepared];
    const answer = await call('POST /open', [key], mine);
    expect(JSON.parse(answer.body).prepared).toBe(before + 1);
    await call('POST /open', [key], mine);
    expect(prepared).toBe(before + 2);
  });

  it('knows nobody: a cookie is overlooked, a token refused', async () => {
    await call('POST /open', [cookie(session)], mine);
    expect([...gateway.store.audit.rows()].at(-1)).toMatchObject({ actor: 'anybody', action: 'open' });
    expect(outcome(await call('POST /open', [token], mine))).toBe('request-malformed');
  });

  it('keeps a result with a secret only under a key, and sends none in clear', async () => {
    const key = fresh();
    const first = outcome(await call('POST /secret', [key], mine));
    expect(outcome(await call('POST /secret', [key], mine))).toBe(`${first} again`);
    const elsewhere = 'X-Forwarded-For: 203.0.113.9';
    expect(outcome(await call('POST /secret', [fresh(), elsewhere], mine))).toBe('key-forbidden');
  });

  it('takes a signed call too, whose nonce is used up', async () => {
    const request = sign(pipeline, gateway.credentials, { target: '/open', body: '{"email":"x"}' });
    const first = outcome(await send(pipeline, request));
    expect(outcome(await send(pipeline, request))).toBe(`${first} again`);
  });

  it("that does not say whose its records are can't be made", () => {
    const place = { schema: null, description: { summary: '', answers: {} }, credential: 'none' } as const;
    expect(() => endpointRoute(counting('nobody'), place as never, people.parts)).toThrow(
      /whose its records are/,
    );
  });
});
