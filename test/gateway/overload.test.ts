/** `overloaded`: more calls in flight than the process holds. What counts as one, and for how long. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NonceStore } from '../../src/replay/nonces.ts';
import { startTestGateway, type TestGateway } from '../../src/testing.ts';
import { type PipelineUnderTest, signedRoute, startPipeline } from './pipeline-under-test.ts';
import { bytesOf, Connection, problem, send, sign } from './wire.ts';

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startTestGateway();
});
afterAll(() => gateway.close());

describe('overloaded', () => {
  let small: PipelineUnderTest;

  beforeAll(async () => {
    const echo = signedRoute((ctx) => {
      ctx.body = ctx.state.body.toString();
    });
    small = await startPipeline(gateway, { '/v1/echo': { POST: echo } }, { mostInFlight: 2 });
  });
  afterAll(() => small.close());

  /** A call that is known to be in flight: the gateway has told it to go on. */
  async function hold(): Promise<{ finish(): Promise<void> }> {
    const request = sign(small, gateway.credentials, { headers: [['Expect', '100-continue']] });
    const connection = await Connection.open(small.port);
    connection.write(bytesOf({ ...request, body: '' }));
    expect((await connection.next())?.status).toBe(100);
    return {
      async finish() {
        connection.write(request.body);
        expect((await connection.next())?.status).toBe(200);
        connection.close();
      },
    };
  }

  it('refuses what exceeds the calls in flight, unsigned and before its nonce is used, until one has ended', async () => {
    const held = [await hold(), await hold()];
    const request = sign(small, gateway.credentials);
    const answer = await send(small, request);
    expect(answer.status).toBe(503);
    expect(problem(answer)).toMatchObject({ code: 'overloaded', status: 503 });
    expect(answer.headers.get('retry-after')).toBe('1');
    expect(answer.headers.has('signature')).toBe(false);

    await held[0]?.finish();
    expect((await send(small, request)).status).toBe(200);
    await held[1]?.finish();
  });

  it.each<[string, boolean, (connection: Connection) => void]>([
    ['a reset', false, (connection) => connection.reset()],
    ['the end of what is written', false, (connection) => connection.end()],
    ['a reset amid chunks', true, (connection) => connection.reset()],
    ['the end of what is written, amid chunks', true, (connection) => connection.end()],
    ['a bad chunk', true, (connection) => connection.write('zz\r\n')],
  ])('counts no call for longer than it lasts, also where it ends by %s', async (_how, chunked, end) => {
    small.log.clear();
    for (let i = 0; i < 3; i++) {
      const request = sign(small, gateway.credentials, { headers: [['Expect', '100-continue']] });
      if (chunked) {
        request.headers = request.headers.filter(([name]) => name !== 'Content-Length');
        request.headers.push(['Transfer-Encoding', 'chunked']);
      }
      const connection = await Connection.open(small.port);
      connection.write(bytesOf({ ...request, body: '' }));
      expect((await connection.next())?.status).toBe(100);
      end(connection);
      await small.log.until('call', i + 1);
    }
    expect(small.log.calls.map(({ code }) => code)).toEqual(Array(3).fill('connection-lost'));
    const held = [await hold(), await hold()];
    await Promise.all(held.map((each) => each.finish()));
  });

  it('counts no call whose caller goes away while its nonce is claimed', async () => {
    let claiming = () => {};
    let go = () => {};
    const slow: NonceStore = {
      claim: (nonce) => {
        claiming();
        return new Promise((resolve) => {
          go = () => resolve(gateway.store.nonces.claim(nonce));
        });
      },
    };
    const route = signedRoute((ctx) => {
      ctx.body = '';
    });
    const pipeline = await startPipeline(
      gateway,
      { '/v1/echo': { POST: route } },
      { nonces: slow, mostInFlight: 1 },
    );
    for (let i = 0; i < 3; i++) {
      const claimed = new Promise<void>((resolve) => {
        claiming = resolve;
      });
      const connection = await Connection.open(pipeline.port);
      connection.write(bytesOf(sign(pipeline, gateway.credentials)).subarray(0, -3));
      await claimed;
      connection.end();
      await connection.closed;
      go();
      await pipeline.log.until('call', i + 1);
    }
    expect(pipeline.log.calls.map(({ code }) => code)).toEqual(Array(3).fill('connection-lost'));
    await pipeline.close();
  });
});
