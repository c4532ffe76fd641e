/** The HTTP API as its users write their tests: supertest, and a signature from `countersign/signatures`. */
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type SignedRequest, signMessage, verifyMessage } from '../../src/signatures/index.ts';
import {
  startTestGateway,
  startTestUpstream,
  type TestGateway,
  type TestUpstream,
} from '../../src/testing.ts';

let gateway: TestGateway;
let upstream: TestUpstream;

beforeAll(async () => {
  upstream = await startTestUpstream();
  gateway = await startTestGateway({
    settings: { routes: [{ path: '/orders', upstream: upstream.url, role: 'any' }] },
  });
});
afterAll(() => Promise.all([gateway.close(), upstream.close()]));

const signed = (method: string, path: string, body?: string, headers: Record<string, string> = {}) =>
  signMessage(
    {
      method,
      url: gateway.url + path,
      headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
      ...(body !== undefined && { body }),
    },
    gateway.credentials,
  );

/** Throws unless the answer is the gateway's own to this very request. */
const verify = ({ status, headers, text }: request.Response, to: SignedRequest) =>
  verifyMessage({ status, headers, body: text }, to);

describe('without a signature', () => {
  it('ping answers', async () => {
    await request(gateway.url)
      .get('/v1/ping')
      .expect(200, { message: 'pong' })
      .expect('Content-Type', /json/);
  });

  it('health and readiness answer', async () => {
    await request(gateway.url).get('/healthz').expect(200, { status: 'ok' });
    await request(gateway.url)
      .get('/readyz')
      .expect(200, { status: 'ready', checks: { store: 'ok' } });
  });

  it('whoami asks for one', async () => {
    const answer = await request(gateway.url)
      .get('/v1/whoami')
      .expect(401)
      .expect('Content-Type', 'application/problem+json')
      .expect('WWW-Authenticate', /Signature/);
    expect(answer.body).toMatchObject({ code: 'signature-missing', status: 401 });
  });

  it('an unknown path is not found', async () => {
    await request(gateway.url).get('/nowhere').expect(404).expect('Countersign-Refusal', 'not-found');
  });

  it('another method is not allowed', async () => {
    await request(gateway.url).put('/v1/ping').expect(405).expect('Allow', 'GET, HEAD');
  });
});

describe('with one', () => {
  it('whoami tells who calls', async () => {
    const sent = signed('GET', '/v1/whoami');
    const answer = await request(gateway.url).get('/v1/whoami').set(sent.headers).expect(200);
    expect(answer.body).toMatchObject({ consumer: 'demo', keyid: gateway.credentials.keyid });
    await verify(answer, sent);
  });

  it('echo gives back what it was sent', async () => {
    const sent = signed('POST', '/v1/echo', '{"hello":"world"}');
    const answer = await request(gateway.url)
      .post('/v1/echo')
      .set(sent.headers)
      .type('application/json')
      .send('{"hello":"world"}')
      .expect(200, { consumer: 'demo', echo: { hello: 'world' } });
    await verify(answer, sent);
  });

  it('the same call again is refused, and so is a changed body', async () => {
    const sent = signed('POST', '/v1/echo', '{"amount":10}');
    const post = (body: string) =>
      request(gateway.url).post('/v1/echo').set(sent.headers).type('application/json').send(body);
    const changed = await post('{"amount":99}').expect(400).expect('Countersign-Refusal', 'digest-mismatch');
    expect(changed.headers.signature).toBeDefined();
    await post('{"amount":10}').expect(401).expect('Countersign-Refusal', 'nonce-replayed');
  });

  it('a call goes to the upstream, which learns who calls', async () => {
    const sent = signed('GET', '/orders/7?full=1');
    const answer = await request(gateway.url).get('/orders/7?full=1').set(sent.headers);
    await verify(answer, sent);
    const asked = upstream.requests.at(-1);
    expect(asked).toMatchObject({ method: 'GET', target: '/orders/7?full=1' });
    expect(asked?.fields.get('countersign-consumer')).toBe('demo');
  });

  it('an answer that was tampered with is noticed', async () => {
    const sent = signed('GET', '/v1/whoami');
    const answer = await request(gateway.url).get('/v1/whoami').set(sent.headers).expect(200);
    answer.text = answer.text.replace('demo', 'root');
    await expect(verify(answer, sent)).rejects.toMatchObject({ code: 'response-invalid' });
  });
});
