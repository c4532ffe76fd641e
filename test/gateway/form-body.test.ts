/** Unsigned bodies of routes for people: JSON and forms, and what is refused of them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MOST_FORM } from '../../src/gateway/form-body.ts';
import { apiInput } from '../../src/gateway/routes/api-input.ts';
import { sendJson } from '../../src/gateway/routes/own.ts';
import { startTestGateway, type TestGateway } from '../../src/testing.ts';
import { callUnsigned } from './people-under-test.ts';
import { type PipelineUnderTest, signedRoute, startPipeline } from './pipeline-under-test.ts';
import { Connection, problem, send, sign } from './wire.ts';

let gateway: TestGateway;
let pipeline: PipelineUnderTest;

beforeAll(async () => {
  gateway = await startTestGateway();
  const route = signedRoute((ctx) => sendJson(ctx, { body: apiInput(ctx).body ?? 'none' }), {
    credential: 'none',
    reads: 'people',
  });
  const deaf = signedRoute((ctx) => sendJson(ctx, { body: apiInput(ctx).body ?? 'none' }), {
    credential: 'none',
  });
  const both = { POST: route, DELETE: route, GET: route };
  pipeline = await startPipeline(gateway, { '/form': both, '/deaf': { POST: deaf } });
});
afterAll(async () => {
  await pipeline.close();
  await gateway.close();
});

const JSON_TYPE = 'application/json';
const FORM_TYPE = 'application/x-www-form-urlencoded';

const post = (type: string, body: string, ...fields: string[]) =>
  callUnsigned(pipeline, 'POST /form', [`Content-Type: ${type}`, ...fields], body);

describe('a body for people', () => {
  it.each<[string, string, string, unknown]>([
    [
      'an object of JSON',
      JSON_TYPE,
      '{"email":"a@b.example","n":1,"list":["x"]}',
      { email: 'a@b.example', n: 1, list: ['x'] },
    ],
    ['JSON that says its charset', 'application/json; charset=UTF-8', '{"a":"ü"}', { a: 'ü' }],
    ['JSON in capitals', 'Application/JSON', '{"a":1}', { a: 1 }],
    [
      'JSON with prototypes for values',
      JSON_TYPE,
      '{"a":"__proto__","constructor":"b"}',
      { a: '__proto__', constructor: 'b' },
    ],
    [
      'a form',
      FORM_TYPE,
      'email=a%40b.example&password=a+b%2Bc%26',
      { email: 'a@b.example', password: 'a b+c&' },
    ],
    ['a form in UTF-8', `${FORM_TYPE}; charset="utf-8"`, 'name=%C3%BC', { name: 'ü' }],
    [
      'a form with markup',
      FORM_TYPE,
      'name=%3Cscript%3E%27%3B+DROP+TABLE',
      { name: "<script>'; DROP TABLE" },
    ],
    ['a form whose names hold dots and brackets', FORM_TYPE, 'a.b=1&c%5Bd%5D=2', { 'a.b': '1', 'c[d]': '2' }],
    ['an empty value', FORM_TYPE, 'totp=', { totp: '' }],
  ])('is read: %s', async (_what, type, body, expected) => {
    const answer = await post(type, body);
    expect([answer.status, JSON.parse(answer.body)]).toEqual([200, { body: expected }]);
  });

  it('is read of DELETE too, and may be left out', async () => {
    const fields = [`Content-Type: ${JSON_TYPE}`];
    const deleted = await callUnsigned(pipeline, 'DELETE /form', fields, '{"password":"x"}');
    expect(JSON.parse(deleted.body)).toEqual({ body: { password: 'x' } });
    expect(JSON.parse((await callUnsigned(pipeline, 'POST /form', [])).body)).toEqual({ body: 'none' });
    expect(JSON.parse((await post(JSON_TYPE, '')).body)).toEqual({ body: 'none' });
  });

  it.each<[string, string, string, string]>([
    ['cut off', JSON_TYPE, '{"a":', 'json-malformed'],
    ['a scalar', JSON_TYPE, '"text"', 'json-malformed'],
    ['a prototype', JSON_TYPE, '{"__proto__":{"admin":true}}', 'json-malformed'],
    ['a prototype in disguise', JSON_TYPE, '{"\\u005f_proto__":{"admin":true}}', 'json-malformed'],
    ['a prototype further in', JSON_TYPE, '{"a":[{"__proto__":1}]}', 'json-malformed'],
    ['a name that stands twice', JSON_TYPE, '{"roles":[],"roles":["operator"]}', 'json-malformed'],
    ['something deep', JSON_TYPE, `${'{"a":'.repeat(40)}1${'}'.repeat(40)}`, 'json-malformed'],
    ['no UTF-8', JSON_TYPE, '{"a":"\ufffd"}', 'validation-failed'],
    ['a name twice', FORM_TYPE, 'email=a&email=b', 'validation-failed'],
    ['a name twice, once encoded', FORM_TYPE, 'email=a&%65mail=b', 'validation-failed'],
    ['a list', FORM_TYPE, 'roles[]=a&roles[]=b', 'validation-failed'],
    ['a prototype', FORM_TYPE, '__proto__=x', 'validation-failed'],
    ['a method of every object', FORM_TYPE, 'hasOwnProperty=x', 'validation-failed'],
    ['a percent sign alone', FORM_TYPE, 'a=100%', 'ok'],
    ['bytes that are no UTF-8', FORM_TYPE, 'a=%ff', 'validation-failed'],
    [
      'more names than anybody has',
      FORM_TYPE,
      Array.from({ length: 2000 }, (_, i) => `n${i}=1`).join('&'),
      'validation-failed',
    ],
    ['another charset', 'application/json; charset=utf-16', '{"a":1}', 'validation-failed'],
    ['an old charset', `${FORM_TYPE}; charset=iso-8859-1`, 'a=%FC', 'validation-failed'],
    ['two charsets', 'application/json; charset=utf-8; charset=utf-7', '{}', 'validation-failed'],
    ['no type', 'text/plain', '{"a":1}', 'validation-failed'],
    [
      'parts',
      'multipart/form-data; boundary=x',
      '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--',
      'validation-failed',
    ],
    ['a file', 'application/octet-stream', 'MZ', 'validation-failed'],
    ['another JSON', 'application/vnd.api+json', '{}', 'validation-failed'],
  ])('is refused: %s (%s)', async (_what, type, body, code) => {
    const answer = await post(type, body);
    const told = answer.status === 200 ? 'ok' : problem(answer).code;
    expect(told).toBe(code);
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });

  it('is refused without a word of what it holds', async () => {
    const answer = await post(JSON_TYPE, '{"password":"hunter2hunter2" oops');
    expect(problem(answer).code).toBe('json-malformed');
    expect(answer.body).not.toContain('hunter2');
  });

  it('is told to be JSON where it comes as a form, as curl sends it', async () => {
    const answer = await post(FORM_TYPE, '{"password":"hunter2hunter2"}');
    expect(problem(answer).code).toBe('validation-failed');
    expect(answer.body).toContain('Content-Type: application/json');
    expect(answer.body).not.toContain('hunter2');
  });

  it.each(['gzip', 'br', 'deflate', 'x-none'])('is refused in the coding %s', async (coding) => {
    expect(problem(await post(JSON_TYPE, '{}', `Content-Encoding: ${coding}`)).code).toBe(
      'validation-failed',
    );
  });

  it('is as large as 64 KiB, and no larger', async () => {
    const full = `{"a":"${'x'.repeat(MOST_FORM - 8)}"}`;
    expect((await post(JSON_TYPE, full)).status).toBe(200);
    const more = await post(JSON_TYPE, `${full} `);
    expect([more.status, problem(more).code]).toEqual([413, 'body-too-large']);
    const connection = await Connection.open(pipeline.port);
    const chunk = `8000\r\n${'x'.repeat(0x8000)}\r\n`;
    connection.write(
      `POST /form HTTP/1.1\r\nHost: 127.0.0.1:${pipeline.port}\r\nContent-Type: ${JSON_TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(3)}0\r\n\r\n`,
    );
    const chunked = await connection.next();
    connection.close();
    expect(chunked && problem(chunked).code).toBe('body-too-large');
  });

  it('that ends too early is answered to nobody', async () => {
    const before = pipeline.log.lines.length;
    const connection = await Connection.open(pipeline.port);
    connection.write(
      `POST /form HTTP/1.1\r\nHost: 127.0.0.1:${pipeline.port}\r\nContent-Type: ${JSON_TYPE}\r\nContent-Length: 100\r\n\r\n{`,
    );
    connection.reset();
    await expect
      .poll(() => pipeline.log.lines.slice(before).map(({ code }) => code))
      .toEqual(['connection-lost']);
  });

  it('is awaited where its sender asks whether to go on', async () => {
    const connection = await Connection.open(pipeline.port);
    connection.write(
      `POST /form HTTP/1.1\r\nHost: 127.0.0.1:${pipeline.port}\r\nContent-Type: ${JSON_TYPE}\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n`,
    );
    expect((await connection.next())?.status).toBe(100);
    connection.write('{}');
    expect((await connection.next())?.status).toBe(200);
    connection.close();
  });

  it('is left unread where the route does not ask for it', async () => {
    const answer = await callUnsigned(pipeline, 'POST /deaf', [`Content-Type: ${JSON_TYPE}`], '{"a":');
    expect(JSON.parse(answer.body)).toEqual({ body: 'none' });
  });
});

describe('a signed body on the same route', () => {
  it('is read from its exact bytes, with any name', async () => {
    const body = '{"__proto__":{"a":1}}';
    const request = sign(pipeline, gateway.credentials, { target: '/form', body });
    expect((await send(pipeline, request)).body).toBe(`{"body":${body}}`);
  });
});
