/** A stop finishes what is in flight, and waits for nothing else. */
import { describe, expect, it } from 'vitest';
import { startTestGateway } from '../../src/testing.ts';
import { bytesOf, Connection, send, sign, verifyAnswer } from './wire.ts';

describe('a gateway that stops', () => {
  it('answers what is in flight, signed, and ends its connection', async () => {
    const gateway = await startTestGateway();
    const request = sign(gateway, gateway.credentials, { headers: [['Expect', '100-continue']] });
    const connection = await Connection.open(gateway.port);
    connection.write(bytesOf({ ...request, body: '' }));
    expect((await connection.next())?.status).toBe(100);
    const closed = gateway.close();
    connection.write(request.body);
    const answer = await connection.next();
    expect(answer?.status).toBe(200);
    if (answer) verifyAnswer(answer, request, gateway.credentials);
    await Promise.all([closed, connection.closed]);
  });

  it('takes no new connection', async () => {
    const gateway = await startTestGateway();
    const request = sign(gateway, gateway.credentials);
    await gateway.close();
    await expect(send(gateway, request)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it.each([
    ['silent since they were opened', ''],
    ['silent amid a header section', 'GET /v1/ping HTTP/1.1\r\nHo'],
    ['silent since their last answer', 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'],
  ])(
    'waits for no connections that are %s',
    async (_how, bytes) => {
      const gateway = await startTestGateway();
      const connections = await Promise.all([Connection.open(gateway.port), Connection.open(gateway.port)]);
      for (const connection of connections) connection.write(bytes);
      if (bytes.startsWith('GET /healthz')) {
        for (const connection of connections) expect((await connection.next())?.status).toBe(200);
      }
      await gateway.close();
      await Promise.all(connections.map(({ closed }) => closed));
    },
    10_000,
  );

  it('may be told twice, and what is in flight ends all the same', async () => {
    const gateway = await startTestGateway();
    const request = sign(gateway, gateway.credentials, {
      method: 'POST',
      headers: [['Expect', '100-continue']],
    });
    const connection = await Connection.open(gateway.port);
    connection.write(bytesOf({ ...request, body: '' }));
    expect((await connection.next())?.status).toBe(100);
    let isClosed = false;
    const closing = [gateway.close(), gateway.close()].map(async (closed) => {
      await closed;
      isClosed = true;
    });
    await new Promise(setImmediate);
    expect(isClosed).toBe(false);
    connection.write(request.body);
    expect((await connection.next())?.status).toBe(200);
    await Promise.all(closing);
  });
});
