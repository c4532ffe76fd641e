/** Mutated requests over bare sockets: never a 5xx, never a crash, and nothing served that differs in what is signed. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestGateway, type TestGateway } from '../../src/testing.ts';
import { capturedLog } from './captured-log.ts';
import { sendMutated, verifyMutated } from './mutated-requests.ts';
import { read, whatIsSigned } from './second-reader.ts';
import { bytesOf, send, sign } from './wire.ts';

let gateway: TestGateway;
const log = capturedLog();

beforeAll(async () => {
  gateway = await startTestGateway({
    logger: log.logger,
    settings: { limits: { failures: { burst: 1_000_000 } } },
  });
});
afterAll(() => gateway.close());

describe('mutated requests', () => {
  it('are refused, or are what was signed', async () => {
    const ends = await sendMutated(gateway, 1, 2000);
    // All three ends were met, so that the run has shown something.
    expect(ends.served).toBeGreaterThan(100);
    expect(ends.refused).toBeGreaterThan(800);
    expect(ends.closed).toBeGreaterThan(20);
    expect(log.lines.filter(({ level }) => level > 30)).toEqual([]);
    expect((await send(gateway, sign(gateway, gateway.credentials))).status).toBe(200);
  });
});

describe('18,000 mutated requests, given to the verifier itself,', () => {
  it('are refused, or are what was signed', () => {
    const ends = verifyMutated(gateway, 1_000_000, 18_000);
    expect(ends.accepted).toBeGreaterThan(500);
    expect(ends.refused).toBeGreaterThan(5000);
  });
});

describe('the second reader', () => {
  const good = () => sign(gateway, gateway.credentials, { headers: [['Accept', 'text/html']] });
  const INPUT = '("@method" "accept" "content-type")';
  const meaning = (text: string) => {
    const reading = read(Buffer.from(text, 'latin1'));
    return typeof reading === 'string' ? reading : whatIsSigned(reading, INPUT);
  };

  it('reads what the gateway reads', () => {
    const text = bytesOf(good()).toString('latin1');
    expect(read(Buffer.from(text))).toMatchObject({ method: 'POST', body: '{"hello":"world"}' });
    const chunked = text
      .replace(/Content-Length: \d+/, 'Transfer-Encoding: chunked')
      .replace(/\r\n\r\n.*/s, '\r\n\r\n2;x=y\r\n{"\r\nf\r\nhello":"world"}\r\n0\r\nX: y\r\n\r\n');
    expect(meaning(chunked)).toBe(meaning(text));
    for (const [from, to, same] of [
      ['Accept: text/html', 'ACCEPT:\ttext/html  ', true],
      ['Accept: text/html', 'Accept: text/htmL', false],
      ['Accept: text/html', 'Accept: text\r\nAccept: html', false],
      ['POST', 'PUT', false],
      ['world', 'World', false],
      ['Host: 1', 'Host: 2', false],
      ['User', 'Other', true],
    ] as const) {
      expect(meaning(text.replace(from, to)) === meaning(text)).toBe(same);
    }
  });

  it.each([
    ['incomplete', 'GET / HTTP/1.1\r\nA: b\r\n'],
    ['incomplete', 'GET / HTTP/1.1\r\nContent-Length: 2\r\n\r\na'],
    ['incomplete', 'GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n'],
    ['unreadable', 'GET / HTTP/2\r\n\r\n'],
    ['unreadable', 'get / HTTP/1.1\r\n\r\n'],
    ['unreadable', 'GET / HTTP/1.1\r\nA : b\r\n\r\n'],
    ['unreadable', 'GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n'],
    ['unreadable', 'GET / HTTP/1.1\r\nA: b\rc\r\n\r\n'],
    ['unreadable', 'GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\na'],
    ['unreadable', 'GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na'],
    ['unreadable', 'GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['unreadable', 'GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n'],
    ['unreadable', 'GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab0\r\n\r\n'],
  ])('finds %s: %j', (verdict, text) => {
    expect(meaning(text)).toBe(verdict);
  });
});
