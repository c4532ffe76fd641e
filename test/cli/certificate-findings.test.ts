/** What doctor says of certificates, and of an issuer that was asleep. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkCertificates, checkIssuer } from '../../src/cli/certificate-findings.ts';
import { certificateRequest, newCertificateKey } from '../../src/client/certificate/certificate-request.ts';
import type { TlsSettings } from '../../src/config/config.ts';
import { createAuthority } from '../../src/issuer/authority.ts';
import { colonText } from '../../src/issuer/fingerprint.ts';
import { runPass } from '../../src/issuer/pass.ts';
import { rotate } from '../../src/issuer/rotation.ts';
import { testIssuer } from '../client/certificate/test-issuer.ts';
import { Member } from '../issuer/fleet.ts';
import { PASSPHRASE, Scene } from '../issuer/inbox-scene.ts';

const issuer = await testIssuer();
const HOUR = 3600_000;
const START = Math.floor(Date.now() / 1000) * 1000;

const TLS: TlsSettings = {
  development: false,
  names: ['localhost'],
  uris: [],
  requester: 'gateway',
  inbox: 'in',
  outbox: 'out',
  clientCertificates: 'off',
};

let data: string;

beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), 'countersign-findings-'));
  mkdirSync(join(data, 'tls'));
  const csr = certificateRequest(newCertificateKey(), { dns: ['localhost'], ip: [], uri: [] });
  writeFileSync(join(data, 'tls', 'current.pem'), await issuer.leaf(csr, { from: START }));
});
afterAll(() => rmSync(data, { recursive: true }));

describe('a certificate', () => {
  it.each([
    [0, 'ok', /has 43200 s left$/],
    [7.9, 'ok', /has 14760 s left$/],
    [8.1, 'warning', /less than a third of its life; see to the issuer/],
    [10.1, 'warning', /less than a sixth of its life; see to the issuer/],
    [12, 'failure', /ended 0 s ago: nobody can connect/],
  ])('after %f hours of its twelve', (hours, status, detail) => {
    const [leaf, root] = checkCertificates({ data, tls: undefined }, START + hours * HOUR);
    expect(leaf).toMatchObject({ check: 'certificate', status, detail: expect.stringMatching(detail) });
    expect(root?.detail).toMatch(/^The root /);
  });

  it('that is awaited needs a root first', () => {
    const other = mkdtempSync(join(data, 'other-'));
    const [found] = checkCertificates({ data: other, tls: TLS }, START);
    expect(found).toMatchObject({
      status: 'warning',
      detail: expect.stringContaining('There is no root in'),
    });
    mkdirSync(join(other, 'tls'));
    writeFileSync(join(other, 'tls', 'trust.pem'), issuer.trust);
    const [asked] = checkCertificates({ data: other, tls: TLS }, START);
    expect(asked?.detail).toContain('waits for out to answer');
  });

  it('that cannot be read is a failure, and one that is not there is none', () => {
    const other = mkdtempSync(join(data, 'other-'));
    expect(checkCertificates({ data: other, tls: undefined }, START)).toEqual([]);
    mkdirSync(join(other, 'tls'));
    writeFileSync(
      join(other, 'tls', 'current.pem'),
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
    );
    expect(checkCertificates({ data: other, tls: undefined }, START)).toMatchObject([{ status: 'failure' }]);
  });
});

describe('an issuer', () => {
  it('is looked at for its root, its last pass, and the runs that went by without one', async () => {
    const dir = join(data, 'issuer');
    const clock = { now: () => Date.UTC(2026, 10, 22, 0, 30) };
    const authority = await createAuthority({
      dir,
      name: 'Example Root',
      constraints: { dns: ['localhost'], ip: [], uri: [] },
      passphrase: 'a passphrase of sixteen',
      clock,
    });
    const at = (hours: number, schedule?: string) => checkIssuer(dir, schedule, clock.now() + hours * HOUR);
    expect(await at(0)).toMatchObject([
      { check: 'certificate', status: 'ok', detail: expect.stringMatching(/has 18\d\d days left$/) },
      { status: 'warning', detail: expect.stringContaining('no pass yet') },
    ]);
    const [inbox, outbox] = [join(data, 'inbox'), join(data, 'outbox')];
    mkdirSync(inbox);
    mkdirSync(outbox);
    await runPass({ authority, inbox, outbox, clock });
    // Where the moments of the schedule lie, the box's time zone says.
    expect((await at(0))[1]).toMatchObject({ status: 'ok', detail: expect.stringContaining('none missed') });
    expect((await at(12))[1]).toMatchObject({
      status: 'warning',
      detail: expect.stringMatching(/^last pass at 2026-11-22T00:30:00\.000Z, 2 missed since/),
    });
    await runPass({ authority, inbox, outbox, clock, schedule: '30 * * * *' });
    expect((await at(1))[1]).toMatchObject({ status: 'ok' });
    expect((await at(1.2))[1]).toMatchObject({
      status: 'warning',
      detail: expect.stringContaining('1 missed since of "30 * * * *"'),
    });
    expect((await at(1.2, '30 */12 * * *'))[1]).toMatchObject({ status: 'ok' });
    await runPass({ authority, inbox, outbox, clock });
    expect((await at(1.2))[1]).toMatchObject({ detail: expect.stringContaining('"0 */6 * * *"') });
  });

  it('is looked at for a change of root, at each step of it', async () => {
    const scene = await Scene.make();
    const { dir, clock } = scene;
    const found = async () => {
      const findings = await checkIssuer(dir, undefined, clock.now());
      return findings.filter(({ check }) => check === 'rotation');
    };
    const step = () => rotate({ dir, passphrase: PASSPHRASE, clock });
    expect(await found()).toEqual([]);
    const member = await Member.join(scene, 'gateway', 'api.example.org');
    const { other = '' } = await step();
    expect(await found()).toEqual([
      {
        check: 'rotation',
        status: 'warning',
        detail: `The next root ${colonText(other)} is made, and not acknowledged yet by gateway.`,
      },
    ]);
    await scene.reopen().pass();
    member.follow();
    await scene.reopen().pass();
    expect(await found()).toMatchObject([
      {
        status: 'warning',
        detail: expect.stringContaining('acknowledged by everybody; run countersign ca rotate'),
      },
    ]);
    const { endsAt = 0 } = await step();
    const end = new Date(endsAt * 1000).toISOString();
    expect(await found()).toMatchObject([
      { status: 'ok', detail: expect.stringContaining(`ends at ${end}`) },
    ]);
    mkdirSync(join(dir, 'next'), { mode: 0o700 });
    for (const file of ['root.pem', 'root.key']) copyFileSync(join(dir, file), join(dir, 'next', file));
    expect(await found()).toMatchObject([
      { status: 'warning', detail: expect.stringContaining('was cut off') },
    ]);
    rmSync(join(dir, 'next'), { recursive: true });
    clock.seconds = endsAt;
    expect(await found()).toMatchObject([
      {
        status: 'warning',
        detail: expect.stringContaining(`ended at ${end}; run countersign ca rotate again`),
      },
    ]);
    await step();
    expect(await found()).toEqual([]);
  });

  it('whose folder is none is a failure', async () => {
    expect(await checkIssuer(join(data, 'nowhere'), undefined, START)).toMatchObject([{ status: 'failure' }]);
  });
});
