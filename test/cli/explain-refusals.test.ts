/**
 * `countersign explain` where the secret, the clock, or something else than the signature is what is wrong.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { bytesOf, type RawRequest, send } from '../gateway/wire.ts';
import { changesHost, closedPort, codes, GET, NOTE, OTHER_SECRET, setDesk } from './explain-desk.ts';

const desk = setDesk();

describe('the secret', () => {
  it("that isn't the one of the signer is named, with equal bases", async () => {
    const found = await desk.explainedJson(bytesOf(desk.signed({}, { ...desk.key, secret: OTHER_SECRET })));
    expect([codes(found), found.macHolds, found.firstDifference]).toEqual([['secret-wrong'], false, null]);
    expect(found.components.every(({ verdict }) => verdict === 'same')).toBe(true);
  });

  it("that isn't the gateway's is named, where signer and credentials agree", async () => {
    const other = { ...desk.key, secret: OTHER_SECRET };
    const found = await desk.explainedJson(bytesOf(desk.signed({}, other)), [], other);
    expect([codes(found), found.macHolds]).toEqual([['secret-differs'], true]);
  });

  it('of a keyid that the gateway does not know cannot be told from that', async () => {
    const other = { ...desk.key, keyid: 'k-nobody' };
    const found = await desk.explainedJson(bytesOf(desk.signed({}, other)), [], other);
    expect(codes(found)).toEqual(['secret-differs']);
    expect(found.causes[0]?.detail).toContain('"k-nobody"');
  });

  it('that the signer uses without decoding it is named', async () => {
    const text = Buffer.from(desk.key.secret).toString('base64');
    const found = await desk.explainedJson(bytesOf(desk.signed({}, { ...desk.key, secret: text })));
    expect(codes(found)).toEqual(['secret-wrong']);
    expect(found.causes[0]?.detail).toContain('decode the secret from base64');
  });

  it('of the credentials alone is wrong where the gateway accepts the call', async () => {
    const found = await desk.explainedJson(bytesOf(desk.signed()), [], { ...desk.key, secret: OTHER_SECRET });
    expect(codes(found)).toEqual(['secret-wrong']);
    expect(found.causes[0]?.detail).toContain('The gateway found the MAC good');
  });

  it('of another keyid is not called wrong: the keyid differs', async () => {
    const found = await desk.explainedJson(bytesOf(desk.signed()), [], {
      keyid: 'k-other',
      secret: OTHER_SECRET,
    });
    expect(codes(found)).toEqual(['keyid-differs']);
  });

  it('that stands in the request by mistake is not printed', async () => {
    const request = desk.signed({ ...GET, headers: [['X-Note', desk.key.secret]], cover: NOTE.cover });
    const { stdout } = await desk.explained(bytesOf(request), ['--offline']);
    expect(stdout).toContain('"x-note": <the secret>');
  });
});

describe('a clock', () => {
  it('that is 10 minutes behind the gateway is named', async () => {
    desk.gateway.clock.advance(600);
    const found = await desk.explainedJson(bytesOf(desk.signed()));
    expect([codes(found), found.gateway?.code]).toEqual([['clock-skewed'], 'signature-expired']);
    expect(found.causes[0]?.detail).toMatch(/This machine's clock is (?:59\d|60\d) s behind the gateway's/);
  });

  it('that is 10 minutes ahead of the gateway is named', async () => {
    desk.gateway.clock.advance(-600);
    const found = await desk.explainedJson(bytesOf(desk.signed()));
    expect([codes(found), found.gateway?.code]).toEqual([['clock-skewed'], 'clock-skew']);
  });

  it('is not blamed for a request that was recorded an hour ago', async () => {
    const created = Math.floor(Date.now() / 1000) - 3600;
    const found = await desk.explainedJson(bytesOf(desk.signed({ created })));
    expect(codes(found)).toEqual(['signature-expired']);
  });

  it('is named beside another cause', async () => {
    desk.proxy.mistake = changesHost;
    const created = Math.floor(Date.now() / 1000) + 600;
    expect(codes(await desk.explainedJson(bytesOf(desk.signed({ created }))))).toEqual([
      'host-changed',
      'clock-skewed',
    ]);
  });
});

describe("the gateway's other answers", () => {
  it.each([
    ['nonce-replayed', signed2x, 401],
    ['role-missing', async () => desk.signed({ headers: [['Countersign-Narrow', 'a-role']] }), 403],
    ['not-found', async () => desk.signed({ ...GET, target: '/nowhere' }), 404],
    ['signature-policy', async () => desk.signed({ cover: ['@method', '@target-uri'] }), 400],
  ])('%s is said and explained', async (code, request, status) => {
    const found = await desk.explainedJson(bytesOf(await request()));
    expect([codes(found), found.gateway?.status, found.code]).toEqual([[code], status, 1]);
    expect(found.causes[0]?.detail.length).toBeGreaterThan(40);
  });

  async function signed2x(): Promise<RawRequest> {
    const request = desk.signed();
    expect((await send(desk.target, request)).status).toBe(200);
    return request;
  }

  it('a connection that a proxy breaks off is no answer', async () => {
    desk.proxy.forwardTo = await closedPort();
    const found = await desk.explainedJson(bytesOf(desk.signed()));
    expect([found.code, found.gateway, found.macHolds]).toEqual([0, null, true]);
  });

  it('an answer that no gateway gave is not taken for one', async () => {
    const server = createServer((_, res) =>
      res.writeHead(502, { 'Content-Type': 'text/html' }).end('Bad gateway'),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const found = await desk.explainedJson(bytesOf(desk.signed()), ['--url', url]);
    server.close();
    expect([codes(found), found.gateway?.status, found.code]).toEqual([['response-unsigned'], 502, 1]);
  });
});
