/** The gateway's certificate as an operator meets it: in the log, in the metrics, on the wire. */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Listener } from '../../../src/gateway/listener.ts';
import { Metrics } from '../../../src/gateway/metrics.ts';
import { GatewayCertificate } from '../../../src/gateway/tls/gateway-certificate.ts';
import { testIssuer } from '../../client/certificate/test-issuer.ts';
import { type CapturedLog, capturedLog } from '../captured-log.ts';

const issuer = await testIssuer();
const HOUR = 3600_000;

let data: string;
let log: CapturedLog;
let certificate: GatewayCertificate;
let now: number;

beforeEach(() => {
  mkdirSync(issuer.inbox, { recursive: true });
  data = mkdtempSync(join(issuer.folder, 'data-'));
  mkdirSync(join(data, 'tls'));
  writeFileSync(join(data, 'tls', 'trust.pem'), issuer.trust);
  log = capturedLog();
  now = Date.now();
  certificate = anew();
});

function anew(): GatewayCertificate {
  return new GatewayCertificate({
    tls: {
      names: ['localhost', '127.0.0.1'],
      uris: [],
      requester: 'gateway',
      inbox: issuer.inbox,
      outbox: issuer.outbox,
      clientCertificates: 'off',
      development: false,
    },
    data,
    clock: { now: () => now },
    logger: log.logger,
    pacing: { poll: 20 },
  });
}

afterEach(async () => {
  await certificate.close();
  rmSync(data, { recursive: true });
  rmSync(issuer.inbox, { recursive: true });
});

/** Backdated, since the gateway's clock stands. */
const pass = (life: number) =>
  issuer.passOf(join(data, 'tls', 'request.pub.pem'), { life, from: Date.now() - 60_000 });

async function serialAt(port: number): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, ca: issuer.trust });
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

describe("the gateway's certificate", () => {
  it('is asked for in the log with every step, and is swapped under a listener when the next one is there', async () => {
    const opening = certificate.open();
    const asking = 'no certificate yet, so nothing is listened on:';
    while (!log.lines.some(({ msg }) => msg?.startsWith(asking))) await new Promise(setImmediate);
    const told = log.lines.find(({ msg }) => msg?.startsWith(asking));
    expect(told).toMatchObject({ level: 40, inbox: issuer.inbox, outbox: issuer.outbox });
    expect(told?.msg).toMatch(
      /ca enrol gateway --key .*request\.pub\.pem.*gateway-\d+\.csr.*gateway-\d+\.pem/,
    );
    await pass(12 * 3600);
    await opening;

    const listener = new Listener((_req, res) => res.end(), undefined, certificate.serving());
    certificate.follow((tls) => listener.useTls(tls));
    const port = await listener.listen({ host: '127.0.0.1', port: 0 });
    const before = await serialAt(port);
    expect(certificate.terms()[0]).toMatchObject({ certificate: 'leaf', serial: before });
    now += 4 * HOUR;
    await log.until('the next certificate is asked for: carry it', 1);
    await pass(24 * 3600);
    await log.until('a new certificate is in force', 2);
    expect(await serialAt(port)).not.toBe(before);
    await listener.close();
  });

  it('whose request was carried away before a restart is awaited, and nobody is told to carry that', async () => {
    const said = async (text: RegExp) => {
      while (!log.lines.some(({ msg }) => text.test(msg ?? ''))) await new Promise(setImmediate);
    };
    const stop = new AbortController();
    const ends = [certificate.open(stop.signal)];
    await said(/2\. carry gateway-\d+\.csr/);
    await certificate.close();
    for (const name of readdirSync(issuer.inbox)) rmSync(join(issuer.inbox, name));
    log.clear();
    certificate = anew();
    ends.push(certificate.open(stop.signal));
    await said(/gateway-\d+ was taken out of .*inbox, and gateway-\d+\.pem is awaited/);
    expect(log.lines.filter(({ msg }) => msg?.includes('carry'))).toEqual([]);
    stop.abort();
    await Promise.allSettled(ends);
  });

  it('is served on after its end, and with it the roots that callers must come from', async () => {
    const opening = certificate.open();
    while ((await pass(1060)).length === 0) await new Promise(setImmediate);
    await opening;
    const before = certificate.serving();
    now += HOUR;
    expect(certificate.serving()).toEqual(before);
  });

  it('shows what is left of each certificate of its chain, and when it was renewed', async () => {
    const metrics = new Metrics(() => 0);
    metrics.watchCertificates(certificate);
    expect(await metrics.text()).toContain('countersign_certificate_last_renewal_timestamp_seconds 0\n');
    const opening = certificate.open();
    while ((await pass(1060)).length === 0) await new Promise(setImmediate);
    await opening;
    now += 400_000;
    const text = await metrics.text();
    const left = (name: string) => {
      const line = new RegExp(
        `^countersign_certificate_seconds_left\\{certificate="${name}",serial="[0-9A-F]+"\\} (\\d+)$`,
        'm',
      );
      return Number(line.exec(text)?.[1]);
    };
    // By the dates of the certificate itself: the gateway's clock stands while it is made.
    const { validTo } = new X509Certificate(readFileSync(join(data, 'tls', 'current.pem')));
    expect(left('leaf')).toBe(Math.round((Date.parse(validTo) - now) / 1000));
    expect(left('root')).toBeGreaterThan(22 * 3600);
    expect(text).toMatch(/^countersign_certificate_last_renewal_timestamp_seconds 1[0-9.]+/m);
  });

  it('warns of its root too, once less than a third of its life is left', async () => {
    // The root lives from 24 hours before this run until 24 hours after it.
    now += 9 * HOUR;
    const opening = certificate.open();
    while ((await pass(24 * 3600)).length === 0) await new Promise(setImmediate);
    await opening;
    expect(log.lines.filter(({ msg }) => msg?.startsWith('the root ends'))).toHaveLength(1);
  });
});
