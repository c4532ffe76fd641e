/**
 * `npm run demo`: a gateway, an upstream behind it, and four calls: one that goes through, and three that a thief
 * would try. Everything lies in a temporary folder and on free ports; nothing is left behind.
 * @module
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { requestText, responseText } from '../src/cli/call.ts';
import {
  createTransport,
  draftRequest,
  exchange,
  type PreparedRequest,
  prepareRequest,
  signingKey,
} from '../src/client/index.ts';
import { startTestGateway } from '../src/testing.ts';

const upstream = createServer((req, res) => {
  const chunks: Buffer[] = [];
  req.on('data', (chunk: Buffer) => chunks.push(chunk));
  req.on('end', () => {
    const order = JSON.parse(Buffer.concat(chunks).toString());
    res.setHeader('Content-Type', 'application/json');
    res.end(JSON.stringify({ ordered: order, by: req.headers['countersign-consumer'] }));
  });
});
upstream.listen(0, '127.0.0.1');
await once(upstream, 'listening');
const upstreamUrl = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;

const gateway = await startTestGateway({
  settings: { routes: [{ path: '/orders', upstream: upstreamUrl, role: 'orders' }] },
});
const credentials = await gateway.addConsumer('shop', 'orders');
const key = signingKey(credentials);
const transport = createTransport();
const options = { transport, signal: AbortSignal.timeout(30_000), maxResponseBody: 1024 * 1024 };

console.log(`The gateway is ${gateway.url}, the upstream behind /orders is ${upstreamUrl}.`);
console.log(`The consumer "shop" signs with the key ${key.keyid}.\n`);

const draft = draftRequest({
  method: 'POST',
  origin: gateway.url,
  target: '/orders',
  headers: [['Content-Type', 'application/json']],
  body: '{"tea":2}',
});
const now = Math.floor(gateway.clock.now() / 1000);
const order = prepareRequest(draft, key, { created: now });

let asExpected = true;

/** Sends a request and shows what came of it. @param expected `ok`, or the code of the refusal. */
async function show(title: string, request: PreparedRequest, expected: string, whole = false): Promise<void> {
  const result = await exchange(request, options);
  const outcome = result.error?.code ?? (result.verified ? 'ok' : 'not verified');
  console.log(`== ${title}\n`);
  if (whole) console.log(`${requestText(result)}\n\n${responseText(result)}\n`);
  else console.log(`${result.received.status} ${outcome}: ${result.error?.message}\n`);
  if (result.verified) console.log('The response is signed, bound to this request, and verified.\n');
  if (outcome !== expected) {
    asExpected = false;
    console.error(`This should have been ${expected}, and was ${outcome}.\n`);
  }
}

await show('A signed call, through the gateway and back', order, 'ok', true);
await show('The same bytes again', order, 'nonce-replayed');
const changed = prepareRequest(draft, key, { created: now });
await show(
  'The same order for 20, with the signature of the one for 2',
  { ...changed, body: Buffer.from('{"tea":20}') },
  'digest-mismatch',
);
await show(
  'A call that was signed ten minutes ago',
  prepareRequest(draft, key, { created: now - 600 }),
  'signature-expired',
);

transport.close();
await gateway.close();
upstream.close();
process.exitCode = asExpected ? 0 : 1;
