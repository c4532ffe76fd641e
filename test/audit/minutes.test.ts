/** What is written each minute and at the stop: calls without a good MAC, and the head of the chain in the log. */
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { AuditEvent } from '../../src/audit/audit.ts';
import { Minutes } from '../../src/audit/minutes.ts';
import { UnverifiedCalls } from '../../src/audit/unverified-calls.ts';
import { SqliteStore } from '../../src/storage/sqlite/store.ts';
import { startTestGateway } from '../../src/testing.ts';
import { capturedLog } from '../gateway/captured-log.ts';
import { send, sendBytes, sign, tryBytes } from '../gateway/wire.ts';
import { dataFolder } from '../storage/data-folder.ts';
import { ManualClock } from '../storage/manual-clock.ts';
import { attack, verify } from './record.ts';

const event: AuditEvent = { actor: 'cli', action: 'consumer.add', subject: 'shop' };

function makeMinutes(options: { refuse?: () => boolean } = {}) {
  const folder = dataFolder();
  const store = new SqliteStore({ folder, clock: new ManualClock(), skew: 30, masterKey: undefined });
  onTestFinished(() => store.close());
  const log = capturedLog();
  const unverified = new UnverifiedCalls();
  const append = async (events: readonly AuditEvent[]) => {
    if (options.refuse?.()) throw new Error('disk full');
    await store.commitGroup.run('append', async (tx) => {
      for (const each of events) await tx.audit.append(each);
    });
  };
  const minutes = new Minutes({ counted: [unverified], reader: store.audit, append, logger: log.logger });
  return { folder, store, log, unverified, append, minutes };
}

describe('each minute', () => {
  it('tells the head where it has moved, and only then', async () => {
    const { log, append, minutes, store } = makeMinutes();
    await minutes.write();
    expect(log.lines).toEqual([]);
    await append([event]);
    await minutes.write();
    await minutes.write();
    await append([event, event]);
    await minutes.write();
    const { mac } = store.audit.head();
    expect(log.lines).toMatchObject([
      { level: 30, msg: 'audit head', seq: 1, mac: expect.stringMatching(/^[A-Za-z0-9+/]{43}=$/) },
      { level: 30, msg: 'audit head', seq: 3, mac },
    ]);
  });

  it('writes the calls without a good MAC, and tells the head behind them', async () => {
    const { log, minutes, unverified, store } = makeMinutes();
    unverified.count('192.0.2.1', 'signature-invalid');
    unverified.count('192.0.2.1', 'signature-invalid');
    await minutes.write();
    expect([...store.audit.rows()]).toMatchObject([
      { seq: 1, actor: 'gateway', action: 'calls.unverified', subject: 'gateway' },
    ]);
    expect(log.lines).toMatchObject([{ msg: 'audit head', seq: 1 }]);
  });

  it('keeps what can not be written for the next time, and says so', async () => {
    let isFull = true;
    const { log, minutes, unverified, store } = makeMinutes({ refuse: () => isFull });
    unverified.count('192.0.2.1', 'not-found');
    await minutes.write();
    expect(log.lines).toMatchObject([{ level: 50, msg: 'refused calls could not be recorded' }]);
    unverified.count('192.0.2.1', 'not-found');
    isFull = false;
    await minutes.write();
    const details = [...store.audit.rows()].map(({ detail }) => JSON.parse(detail as string));
    expect(details).toEqual([{ address: '192.0.2.1', counts: { 'not-found': 2 } }]);
  });

  it('tells the operator where the head of a minute ago is gone', async () => {
    const { folder, log, append, minutes } = makeMinutes();
    await append([event, event, event]);
    await minutes.write();
    attack(folder, (database) => database.exec('DELETE FROM audit WHERE seq > 1'));
    const other = { ...event, subject: 'tea' };
    await append([other, other, other]);
    await minutes.write();
    expect(log.lines).toMatchObject([
      { msg: 'audit head', seq: 3 },
      { level: 50, msg: 'the audit record was rewritten', seq: 3, mac: log.lines[0]?.mac },
      { msg: 'audit head', seq: 4 },
    ]);
  });
});

describe('a gateway', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('writes both when a minute has passed, and at its stop', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const log = capturedLog();
    const folder = join(dataFolder(), '..');
    const gateway = await startTestGateway({ logger: log.logger, folder });
    const unsigned = `GET /v1/whoami HTTP/1.1\r\nHost: 127.0.0.1:${gateway.port}\r\n\r\n`;
    await sendBytes(gateway.port, unsigned);
    await tryBytes(gateway.port, 'no HTTP\r\n\r\n');
    await send(gateway, sign(gateway, { ...gateway.credentials, keyid: 'nobody.x' }));
    vi.advanceTimersByTime(60_000);
    await log.until('audit head', 1);
    const after = gateway.store.audit.head();
    const [row] = [...gateway.store.audit.rows()].filter(({ action }) => action === 'calls.unverified');
    expect(JSON.parse(row?.detail as string)).toEqual({
      address: '127.0.0.1',
      counts: { 'signature-missing': 1, 'request-malformed': 1, 'signature-invalid': 1 },
    });

    await send(gateway, sign(gateway, gateway.credentials, { target: '/nowhere' }));
    await sendBytes(gateway.port, unsigned);
    vi.useRealTimers();
    await gateway.close();
    const heads = log.lines.filter(({ msg }) => msg === 'audit head');
    expect(heads).toMatchObject([after, { seq: after.seq + 2 }]);
    const { seq, mac } = heads.at(-1) as unknown as { seq: number; mac: string };
    expect(verify(join(folder, 'data'), [after, { seq, mac }])).toEqual({ rows: seq, head: { seq, mac } });
  });
});
