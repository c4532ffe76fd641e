/**
 * Replaying: the requests of a cassette sent to a gateway, byte for byte and at the time of day at which they were
 * recorded.
 * @module
 */
import { Agent, type IncomingMessage, request as overHttp } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { Fields } from '../signatures/fields.ts';
import {
  type Cassette,
  type HeaderLines,
  type RecordedExchange,
  type RecordedRequest,
  type RecordedResponse,
  readCassette,
} from './cassette.ts';
import type { TestGateway } from './test-gateway.ts';

export interface ReplayOptions {
  /** One that holds the key that the cassette was recorded with: see `startTestGateway`'s `consumers`. */
  readonly gateway: Pick<TestGateway, 'port' | 'clock'>;
  /** Leave the gateway's clock where it is, to see what becomes of old messages. Default: false. */
  readonly keepClock?: boolean;
}

export interface Replayed {
  readonly request: RecordedRequest;
  /** What it was answered when it was recorded. */
  readonly recorded: RecordedResponse;
  /** What it was answered now. Its signature isn't verified. */
  readonly answer: RecordedResponse;
}

/**
 * Sends the requests of a cassette again, one after the other. Before each, the gateway's clock is set to the time at
 * which it was recorded, and left there.
 *
 *     for await (const { recorded, answer } of replay('test/orders.jsonl', { gateway })) {
 *       assert.equal(answer.status, recorded.status);
 *     }
 *
 * A gateway takes each message once: a second replay to it is refused with `nonce-replayed`. Where the cassette was
 * recorded over https, X-Forwarded-Proto is added, as a proxy would that ends TLS before the gateway.
 * @throws `cassette-invalid`, before anything is sent.
 */
export async function* replay(
  cassette: Cassette | string,
  { gateway, keepClock = false }: ReplayOptions,
): AsyncGenerator<Replayed, void, undefined> {
  const { exchanges } = typeof cassette === 'string' ? readCassette(cassette) : cassette;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    for (const exchange of exchanges) {
      if (!keepClock) gateway.clock.set(exchange.at * 1000);
      const { request, response: recorded } = exchange;
      yield { request, recorded, answer: await send(exchange, gateway.port, agent) };
    }
  } finally {
    agent.destroy();
  }
}

async function send(
  { origin, request }: RecordedExchange,
  port: number,
  agent: Agent,
): Promise<RecordedResponse> {
  const { method, target, body } = request;
  const lines: HeaderLines = origin.startsWith('https:')
    ? [...request.lines, ['x-forwarded-proto', 'https']]
    : request.lines;
  // A flat list is written as it stands.
  const headers = lines.flat();
  const sending = overHttp({ host: '127.0.0.1', port, agent, method, path: target, headers, setHost: false });
  const received = await new Promise<IncomingMessage>((resolve, reject) => {
    sending.on('response', resolve);
    // Stays: a connection may end once more after the answer.
    sending.on('error', reject);
    sending.end(body);
  });
  const { statusCode = 0, rawHeaders } = received;
  const fields = Fields.fromRaw(rawHeaders);
  return {
    status: statusCode,
    lines: rawHeaders.flatMap((name, i) =>
      i % 2 === 0 ? [[name, rawHeaders[i + 1] as string] as const] : [],
    ),
    fields,
    body: await buffer(received),
    refusal: fields.get('countersign-refusal'),
  };
}
