/** `rate-limited` by address: failures are paid for, and nobody else pays for them. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestGateway, type TestGateway, type TestGatewayOptions } from '../../src/testing.ts';
import {
  type Answer,
  bytesOf,
  Connection,
  type Draft,
  type Key,
  problem,
  type RawRequest,
  sign,
  verifyAnswer,
} from './wire.ts';

const BURST = 20;
const PER_SECOND = 10;
const FAILURES = { limits: { failures: { burst: BURST, perSecond: PER_SECOND } } };

let gateway: TestGateway;
let connection: Connection;

async function start(options: TestGatewayOptions = {}): Promise<void> {
  gateway = await startTestGateway(options);
  connection = await Connection.open(gateway.port);
}
beforeEach(() => start({ settings: FAILURES }));
afterEach(async () => {
  connection.close();
  await gateway.close();
});

/** Over one connection, one after the other. */
async function call(request: RawRequest): Promise<Answer> {
  connection.write(bytesOf(request));
  const answer = await connection.next(request.line.split(' ')[0]);
  if (!answer) throw new Error('the connection was closed');
  return answer;
}
const codeOf = async (request: RawRequest) => {
  const answer = await call(request);
  return answer.status === 200 ? 'ok' : problem(answer).code;
};

const NOBODY = { keyid: 'nobody.aaaaaaaaaaaa', secret: Buffer.alloc(64).toString('base64') };
const good = (draft: Draft = {}) => sign(gateway, gateway.credentials, draft);
const stranger = (draft: Draft = {}) => sign(gateway, NOBODY, draft);
const badMac = () => sign(gateway, { ...gateway.credentials, secret: NOBODY.secret });
const unsigned = (target: string): RawRequest => ({
  line: `GET ${target} HTTP/1.1`,
  headers: [['Host', `127.0.0.1:${gateway.port}`]],
  body: '',
});

/** Ends the gateway that the suite started, for one with other settings. */
async function restart(settings: Readonly<Record<string, unknown>>): Promise<void> {
  connection.close();
  await gateway.close();
  await start({ settings });
}

async function repeat(times: number, request: () => RawRequest, code: string): Promise<void> {
  for (let i = 0; i < times; i++) expect(await codeOf(request())).toBe(code);
}
const emptyBucket = () => repeat(BURST, stranger, 'signature-invalid');

describe('an address that has failed too often', () => {
  beforeEach(emptyBucket);

  it('gets 429 with an unknown keyid, unsigned, and is told when to try again', async () => {
    const answer = await call(stranger());
    expect(answer.status).toBe(429);
    expect(problem(answer)).toMatchObject({ code: 'rate-limited', status: 429 });
    expect(answer.headers.get('retry-after')).toBe('1');
    expect(answer.headers.has('signature')).toBe(false);
  });

  it('gets it before its signature is even parsed', async () => {
    const request = stranger();
    request.headers = request.headers.map(([name, value]) => [name, value.replace('cs=(', 'cs=((((')]);
    expect(await codeOf(request)).toBe('rate-limited');
    request.headers = request.headers.filter(([name]) => name !== 'Signature');
    expect(await codeOf(request)).toBe('rate-limited');
  });

  it('gets it where no keyid can be read', async () => {
    const request = stranger();
    request.headers = request.headers.map(([name, value]) => [name, value.replace('keyid=', 'keyId=')]);
    expect(await codeOf(request)).toBe('rate-limited');
  });

  it('is served all the same with a known key, and told of a bad MAC', async () => {
    const request = good();
    const answer = await call(request);
    expect(answer.status).toBe(200);
    verifyAnswer(answer, request, gateway.credentials);
    expect(await codeOf(badMac())).toBe('signature-invalid');
    expect(await codeOf(good())).toBe('ok');
  });

  it('is served with a key that was made a moment ago', async () => {
    const key = await gateway.addConsumer('newcomer');
    expect(await codeOf(sign(gateway, key))).toBe('ok');
  });

  it.each([
    ['before', (theirs: string, ours: string) => `${theirs}, ${ours}`],
    ['after', (theirs: string, ours: string) => `${ours}, ${theirs}`],
  ])("is served where a stranger's signature stands %s its own", async (_where, join) => {
    const request = good();
    for (const header of request.headers) {
      if (header[0] === 'Signature-Input') {
        header[1] = join(`theirs=("@method");keyid="proxy-1"`, header[1]);
      } else if (header[0] === 'Signature') header[1] = join('theirs=:AAAA:', header[1]);
    }
    expect(await codeOf(request)).toBe('ok');
  });

  it('is served what needs no signature', async () => {
    expect(await codeOf(unsigned('/v1/ping'))).toBe('ok');
    expect(await codeOf(unsigned('/healthz'))).toBe('ok');
    expect(await codeOf(unsigned('/v1/whoami'))).toBe('signature-missing');
  });

  it('gets no other bucket by saying that it calls from elsewhere', async () => {
    const request = stranger();
    request.headers.push(['X-Forwarded-For', '203.0.113.9'], ['Forwarded', 'for=203.0.113.9']);
    expect(await codeOf(request)).toBe('rate-limited');
  });

  it('may fail again as its bucket is refilled, so often and no more', async () => {
    gateway.clock.advance(1);
    await repeat(PER_SECOND, stranger, 'signature-invalid');
    expect(await codeOf(stranger())).toBe('rate-limited');
    gateway.clock.advance(3600);
    await repeat(BURST, stranger, 'signature-invalid');
    expect(await codeOf(stranger())).toBe('rate-limited');
  });
});

it('an address may fail 200 times at once, and 20 times a second, unless configured otherwise', async () => {
  await restart({});
  await repeat(200, stranger, 'signature-invalid');
  expect(await codeOf(stranger())).toBe('rate-limited');
  gateway.clock.advance(1);
  await repeat(20, stranger, 'signature-invalid');
  expect(await codeOf(stranger())).toBe('rate-limited');
});

describe('what is charged', () => {
  it.each<[string, () => RawRequest, string]>([
    ['a bad MAC', badMac, 'signature-invalid'],
    ['no signature', () => unsigned('/v1/whoami'), 'signature-missing'],
    ['no route and no signature', () => unsigned('/nowhere'), 'not-found'],
    ['a signature that breaks the policy', () => good({ nonce: 'short' }), 'signature-policy'],
  ])('%s', async (_what, request, code) => {
    await repeat(BURST, request, code);
    expect(await codeOf(stranger())).toBe('rate-limited');
  });
});

describe('what is never charged', () => {
  it('a good MAC, whatever becomes of the call', async () => {
    const replayed = good();
    expect(await codeOf(replayed)).toBe('ok');
    const badBody = () => ({ ...good(), body: '{"hello":"World"}' });
    const expired = () => good({ created: Math.floor(gateway.clock.now() / 1000) - 200 });
    for (let i = 0; i < BURST / 5; i++) {
      expect(await codeOf(replayed)).toBe('nonce-replayed');
      expect(await codeOf(badBody())).toBe('digest-mismatch');
      expect(await codeOf(expired())).toBe('signature-expired');
      expect(await codeOf(good({ method: 'GET', target: '/nowhere' }))).toBe('not-found');
      expect(await codeOf(good({ method: 'GET' }))).toBe('method-not-allowed');
      expect(await codeOf(good({ body: '{' }))).toBe('json-malformed');
    }
    await emptyBucket();
  });

  it('a call without a credential that asks for none', async () => {
    await repeat(BURST + 1, () => unsigned('/v1/ping'), 'ok');
    await repeat(BURST, stranger, 'signature-invalid');
  });

  it('a failure of the gateway itself', async () => {
    const consumers = gateway.store.consumers as { findKey(keyid: string): unknown };
    const { findKey } = consumers;
    consumers.findKey = () => {
      throw new Error('the disk is on fire');
    };
    await repeat(BURST + 1, stranger, 'internal-error');
    consumers.findKey = findKey;
    expect(await codeOf(stranger())).toBe('signature-invalid');
  });
});

describe('behind a trusted proxy', () => {
  const from = (address: string, key: Key) => {
    const request = sign(gateway, key);
    request.headers.push(['X-Forwarded-For', address]);
    return request;
  };

  beforeEach(() =>
    restart({ trustedProxies: ['127.0.0.1'], limits: { failures: { burst: 2, perSecond: 20 } } }),
  );

  it('each caller pays for itself', async () => {
    await repeat(2, () => from('203.0.113.7', NOBODY), 'signature-invalid');
    expect(await codeOf(from('203.0.113.7', NOBODY))).toBe('rate-limited');
    expect(await codeOf(from('198.51.100.1, 203.0.113.7', NOBODY))).toBe('rate-limited');
    expect(await codeOf(from('203.0.113.8', NOBODY))).toBe('signature-invalid');
  });

  it('a network of IPv6 pays together', async () => {
    await repeat(1, () => from('2001:db8:1:2::1', NOBODY), 'signature-invalid');
    await repeat(1, () => from('2001:db8:1:2:ffff::9', NOBODY), 'signature-invalid');
    expect(await codeOf(from('2001:db8:1:2:3:4:5:6', NOBODY))).toBe('rate-limited');
    expect(await codeOf(from('2001:db8:1:3::1', NOBODY))).toBe('signature-invalid');
  });
});
