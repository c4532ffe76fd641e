/**
 * A service to put behind a gateway in a test: it notes what it was asked, and answers what the test tells it to.
 * @module
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { Fields } from '../signatures/fields.ts';

/** A request as it reached the upstream. */
export interface UpstreamRequest {
  readonly method: string;
  /** As it was sent: neither decoded nor normalised. */
  readonly target: string;
  /** By lower-case name: `fields.get('countersign-consumer')`. */
  readonly fields: Fields;
  readonly body: Buffer;
}

export interface UpstreamAnswer {
  /** Default: 200. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Text and bytes are sent as they are, anything else as JSON. Default: nothing. */
  readonly body?: unknown;
}

export interface TestUpstream {
  /** For `upstream` in a route. */
  readonly url: string;
  /** What it was asked so far, in order. */
  readonly requests: readonly UpstreamRequest[];
  close(): Promise<void>;
}

/**
 * Starts an upstream on a free loopback port. One that throws answers 500 with the message.
 *
 *     const upstream = await startTestUpstream(({ body }) => ({ status: 201, body: JSON.parse(body.toString()) }));
 */
export async function startTestUpstream(
  answer: (request: UpstreamRequest) => UpstreamAnswer | Promise<UpstreamAnswer> = () => ({}),
): Promise<TestUpstream> {
  const requests: UpstreamRequest[] = [];

  async function respond(req: IncomingMessage): Promise<UpstreamAnswer> {
    const { method = '', url: target = '', rawHeaders } = req;
    const request = { method, target, fields: Fields.fromRaw(rawHeaders), body: await buffer(req) };
    requests.push(request);
    try {
      return await answer(request);
    } catch (error) {
      return { status: 500, headers: { 'content-type': 'text/plain' }, body: String(error) };
    }
  }

  const server = createServer(async (req, res) => {
    const { status = 200, headers = {}, body = '' } = await respond(req);
    for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
    const isPlain = typeof body === 'string' || body instanceof Uint8Array;
    if (!isPlain && !res.hasHeader('content-type')) res.setHeader('content-type', 'application/json');
    res.writeHead(status).end(isPlain ? body : JSON.stringify(body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
