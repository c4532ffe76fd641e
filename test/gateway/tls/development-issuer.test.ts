/** The issuer that plays on the gateway's own machine, where the clock of another day is no surprise. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { expect, it, onTestFinished } from 'vitest';
import { DevelopmentIssuer, developmentRootFolder } from '../../../src/gateway/tls/development-issuer.ts';
import { tlsFolder } from '../../../src/gateway/tls/gateway-certificate.ts';
import { ManualClock } from '../../storage/manual-clock.ts';

it('renews the approval and makes its pass also after days of silence', async () => {
  const data = mkdtempSync(join(tmpdir(), 'countersign-development-'));
  onTestFinished(() => rmSync(data, { recursive: true, force: true }));
  const [inbox, outbox] = [join(data, 'inbox'), join(data, 'outbox')];
  for (const folder of [inbox, outbox, tlsFolder(data)]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { publicKey } = generateKeyPairSync('ed25519');
  writeFileSync(join(tlsFolder(data), 'request.pub.pem'), publicKey.export({ type: 'spki', format: 'pem' }));
  const clock = new ManualClock();
  const issuer = await DevelopmentIssuer.open({
    tls: {
      names: ['localhost'],
      uris: [],
      requester: 'gateway',
      inbox,
      outbox,
      clientCertificates: 'off',
      development: true,
    },
    data,
    clock,
    logger: pino({ level: 'silent' }),
  });
  for (const days of [0, 40]) {
    clock.seconds += days * 24 * 3600;
    expect(await issuer.answer()).toBe(true);
  }
  const rows = readFileSync(join(developmentRootFolder(data), 'ledger.jsonl'), 'utf8')
    .trim()
    .split('\n');
  const events = rows.map((row) => JSON.parse(row).event).filter((event) => event !== 'bundle');
  expect(events).toEqual(['root', 'enrol', 'pass', 'enrol', 'pass']);
});
