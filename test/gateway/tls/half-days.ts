/**
 * Half-days in seconds: a gateway whose certificates live that long, an issuer that makes its passes, clients that keep
 * their connections, and others that make a new one for each call. Real TLS on loopback, by the real clock.
 * @module
 */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { readCredentialsFile, signedFetch } from '../../../src/client/index.ts';
import { loadConfig } from '../../../src/config/config.ts';
import { type Gateway, startGateway } from '../../../src/main.ts';
import { TestIssuer } from '../../client/certificate/test-issuer.ts';
import { type CapturedLog, capturedLog } from '../captured-log.ts';

/** Seconds that stand for a leaf's 12 hours; the issuer comes four times in it, as every three hours. */
export const HALF_DAY = 8;
const PASSES = 4;
const BETWEEN_CALLS = 100;

export interface Lived {
  readonly calls: number;
  readonly failures: readonly string[];
  /** The age that the certificate had at each new connection, as a share of its life. */
  readonly ages: readonly number[];
  /** Different certificates that were seen. */
  readonly certificates: number;
  readonly log: CapturedLog;
}

export interface LifeOptions {
  readonly halfDays: number;
  readonly clients: number;
  /** Whether the issuer makes this pass, counted from 0; the first one is made at the start. */
  readonly isAwake?: (pass: number) => boolean;
}

export async function live({ halfDays, clients, isAwake = () => true }: LifeOptions): Promise<Lived> {
  const issuer = await TestIssuer.make();
  const data = mkdtempSync(join(tmpdir(), 'countersign-half-days-'));
  const log = capturedLog();
  const over = new AbortController();
  const passing = makePasses(issuer, data, isAwake, over.signal);
  let gateway: Gateway | undefined;
  const failures: string[] = [];
  const ages: number[] = [];
  const seen = new Set<string>();
  let calls = 0;
  try {
    gateway = await start(issuer, data, log);
    const until = Date.now() + halfDays * HALF_DAY * 1000;
    const repeat = async (work: () => Promise<void>) => {
      while (Date.now() < until) {
        try {
          await work();
          calls++;
        } catch (error) {
          failures.push(String((error as Error).cause ?? error));
        }
        await sleep(BETWEEN_CALLS);
      }
    };
    const credentials = await readCredentialsFile(join(data, 'demo.json'));
    // No second try may hide a failure.
    const callers = Array.from({ length: clients }, () => signedFetch(credentials, { retries: 0 }));
    const { port } = gateway;
    await Promise.all([
      ...callers.map((call) =>
        repeat(async () => {
          const answer = await call('/v1/echo', { method: 'POST', body: '{}', headers: JSON_TYPE });
          if (answer.status !== 200) throw new Error(`status ${answer.status}`);
        }),
      ),
      repeat(async () => {
        const { serial, age } = await newConnection(port, issuer.trust);
        seen.add(serial);
        ages.push(age);
      }),
    ]);
    for (const call of callers) call.close();
  } finally {
    over.abort();
    await passing;
    await gateway?.close();
    issuer.remove();
    rmSync(data, { recursive: true, force: true });
  }
  return { calls, failures, ages, certificates: seen.size, log };
}

const JSON_TYPE = { 'content-type': 'application/json' };

async function start(issuer: TestIssuer, data: string, { logger }: CapturedLog): Promise<Gateway> {
  mkdirSync(join(data, 'tls'), { mode: 0o700 });
  writeFileSync(join(data, 'tls', 'trust.pem'), issuer.trust);
  const { inbox, outbox } = issuer;
  const settings = {
    tls: { names: ['127.0.0.1', 'localhost'], requester: 'gateway', inbox, outbox },
    port: 0,
  };
  writeFileSync(join(data, 'c.yaml'), JSON.stringify(settings));
  const config = loadConfig(
    {},
    { variables: { COUNTERSIGN_DATA: data, COUNTERSIGN_CONFIG: join(data, 'c.yaml') } },
  );
  // An hour is two thirds of a second here, so a busy machine's pause takes hours: there is more time until the pass.
  const certificatePacing = { poll: 50, retry: 100, askFrom: 1 / 16, askUntil: 1 / 12 };
  return startGateway(config, { logger, certificatePacing });
}

/** At whole seconds, since a certificate's dates are whole seconds. */
async function makePasses(
  issuer: TestIssuer,
  data: string,
  isAwake: (pass: number) => boolean,
  signal: AbortSignal,
): Promise<void> {
  const interval = (HALF_DAY * 1000) / PASSES;
  for (let pass = 0; !signal.aborted; ) {
    await sleep(interval - (Date.now() % interval) + 1, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    if (pass > 0 && !isAwake(pass)) {
      pass++;
      continue;
    }
    const answered = await issuer.passOf(join(data, 'tls', 'request.pub.pem'), { life: HALF_DAY });
    if (pass > 0 || answered.length > 0) pass++;
  }
}

/** One call over a connection of its own. */
async function newConnection(port: number, ca: string): Promise<{ serial: string; age: number }> {
  const socket = connect({ host: '127.0.0.1', port, ca });
  try {
    await once(socket, 'secureConnect');
    const { serialNumber: serial, valid_from, valid_to } = socket.getPeerCertificate();
    const [from, to] = [Date.parse(valid_from), Date.parse(valid_to)];
    const age = (Date.now() - from) / (to - from);
    socket.write('GET /v1/ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    const [bytes] = await once(socket, 'data');
    // Its Host is no origin, so that the answer is a refusal: over this connection all the same.
    if (!String(bytes).startsWith('HTTP/1.1 421')) throw new Error(String(bytes));
    return { serial, age };
  } finally {
    socket.destroy();
  }
}
