/** A certificate that renews itself: what it asks, what it takes, what it refuses, and what a kill leaves. */
import { execFileSync, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import fs, {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Certificate } from '../../../src/client/certificate/certificate.ts';
import { CertificateFolder } from '../../../src/client/certificate/certificate-folder.ts';
import {
  certificateRequest,
  newCertificateKey,
} from '../../../src/client/certificate/certificate-request.ts';
import { replaceFile } from '../../../src/client/certificate/durable-file.ts';
import type { RenewalEvent, RenewerOptions } from '../../../src/client/certificate/renewal.ts';
import { CertificateRenewer } from '../../../src/client/certificate/renewer.ts';
import { fingerprintOf } from '../../../src/client/certificate/request-files.ts';
import { type Given, testIssuer } from './test-issuer.ts';

const issuer = await testIssuer();
const foreign = await testIssuer();
const HOUR = 3600_000;
/** Handshakes go by the real clock, so what is issued by the test's must be good then too. */
const START = Date.now() - 6 * HOUR;
const NAMES = { dns: ['api.example.com'], ip: ['::1'], uri: ['spiffe://example.com/gateway'] };

const open: Renewal[] = [];
afterEach(async () => {
  for (const renewal of open.splice(0)) await renewal.close();
  for (const folder of [issuer.inbox, issuer.outbox]) {
    rmSync(folder, { recursive: true });
    mkdirSync(folder);
  }
});

/** A renewer under a clock that the test sets, and the events that it told. */
class Renewal {
  readonly folder: string;
  readonly events: RenewalEvent[] = [];
  now: number;
  private readonly renewer: CertificateRenewer;
  private readonly heard = new Set<() => void>();

  constructor(folder = issuer.newFolder(), options: Partial<RenewerOptions> = {}, now = START) {
    this.folder = folder;
    this.now = now;
    this.renewer = new CertificateRenewer({
      folder,
      requester: 'gateway',
      use: 'server',
      names: NAMES,
      inbox: issuer.inbox,
      outbox: issuer.outbox,
      clock: { now: () => this.now },
      random: () => 0.5,
      // What is awaited here is told by the watch, or at once.
      pacing: { poll: 60_000 },
      onEvent: (event) => {
        this.events.push(event);
        for (const done of this.heard) done();
      },
      ...options,
    });
    open.push(this);
  }

  start(): this {
    this.renewer.start();
    return this;
  }

  /** Looks again, after `milliseconds` by its clock. */
  after(milliseconds: number): this {
    this.now += milliseconds;
    this.renewer.wake();
    return this;
  }

  /** The next event of a kind, or the first. */
  async told<E extends RenewalEvent['event']>(event: E): Promise<Extract<RenewalEvent, { event: E }>> {
    for (;;) {
      const at = this.events.findIndex((each) => each.event === event);
      if (at >= 0) return this.events.splice(0, at + 1).at(-1) as Extract<RenewalEvent, { event: E }>;
      await new Promise<void>((resolve) => this.heard.add(resolve));
    }
  }

  first = (signal?: AbortSignal) => this.renewer.first(signal);
  current = () => this.renewer.current();
  close = () => this.renewer.close();

  get requestKey(): string {
    return this.text('request.pub.pem');
  }

  text(name: string): string {
    return readFileSync(join(this.folder, name), 'utf8');
  }

  pass(given: Given = {}): Promise<string[]> {
    return issuer.pass(this.requestKey, { from: this.now, ...given });
  }

  /** Asks, is answered, and has its first certificate. */
  async settle(given: Given = {}): Promise<this> {
    this.start();
    await this.told('requested');
    await this.pass(given);
    await this.told('renewed');
    return this;
  }
}

describe('the first certificate', () => {
  it('is asked for with files that an issuer can judge, and is in force once its chain is there', async () => {
    const renewal = new Renewal().start();
    const first = renewal.first();
    const { id, requestKey } = await renewal.told('requested');
    expect(requestKey).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
    const [asked] = issuer.arrivals(renewal.requestKey);
    expect(asked?.document).toEqual({
      requester: 'gateway',
      use: 'server',
      csrSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      issuer: fingerprintOf(new X509Certificate(issuer.trust)),
      created: expect.any(Number),
      expires: Number(asked?.document.created) + 24 * 3600,
      sequence: expect.any(Number),
    });
    expect(id).toBe(`gateway-${asked?.document.sequence}`);
    expect(renewal.current()).toBeUndefined();
    await renewal.pass();
    const { serial } = await renewal.told('renewed');
    expect((await first).leaf.serialNumber).toBe(serial);
    expect(renewal.current()?.leaf.subjectAltName).toContain('URI:spiffe://example.com/gateway');
  });

  it('leaves private keys to their owner alone, and nothing pending', async () => {
    const renewal = await new Renewal().settle();
    const names = readdirSync(renewal.folder).sort();
    expect(names).toEqual([
      'current.key',
      'current.pem',
      'request.key',
      'request.pub.pem',
      'sequence',
      'trust.pem',
    ]);
    const secrets = names.filter((name) => renewal.text(name).includes('PRIVATE KEY'));
    expect(secrets).toEqual(['current.key', 'request.key']);
    for (const name of secrets) expect(statSync(join(renewal.folder, name)).mode & 0o077).toBe(0);
    expect(statSync(renewal.folder).mode & 0o077).toBe(0);
  });

  it('is waited for until the signal ends it', async () => {
    const renewal = new Renewal().start();
    const stop = new AbortController();
    const first = renewal.first(stop.signal);
    await renewal.told('requested');
    stop.abort(new Error('stopped'));
    await expect(first).rejects.toThrow('stopped');
  });

  it('is not asked for without a root to trust', () => {
    const folder = issuer.newFolder();
    rmSync(join(folder, 'trust.pem'));
    expect(() => new Renewal(folder)).toThrow(/There is no root in .*trust\.pem/);
  });

  it('is not asked for where a leaf lies among the roots', async () => {
    const folder = issuer.newFolder();
    const csr = certificateRequest(newCertificateKey(), { dns: ['localhost'], ip: [], uri: [] });
    writeFileSync(join(folder, 'trust.pem'), await issuer.leaf(csr, { from: Date.now() }));
    expect(() => new Renewal(folder)).toThrow(/trust\.pem holds a certificate that is no root's/);
  });
});

describe('the next certificate', () => {
  it('is asked for between an eighth and a fifth of a life, with a key of its own, and the old key is gone', async () => {
    const renewal = await new Renewal().settle();
    const before = renewal.text('current.key');
    renewal.after(1.8 * HOUR);
    expect(renewal.events).toEqual([]);
    renewal.after(0.2 * HOUR);
    await renewal.told('requested');
    expect(renewal.text('current.key')).toBe(before);
    const pending = renewal.text('pending.key');
    await renewal.pass();
    await renewal.told('renewed');
    expect(renewal.text('current.key')).toBe(pending);
    expect(readdirSync(renewal.folder).some((name) => renewal.text(name) === before)).toBe(false);
  });

  it.each([
    ['never in the first hour and a half', 0, 1.45, 0.1],
    ['half an hour before the pass in three hours', 1, 2.35, 0.1],
  ])('of 12 hours is asked for %s', async (_when, random, quiet, more) => {
    const { folder, now, close } = await new Renewal().settle();
    await close();
    const told = async (hours: number) => {
      const again = new Renewal(folder, { random: () => random }, now + hours * HOUR).start();
      await again.close();
      return again.events.map(({ event }) => event);
    };
    expect(await told(quiet)).toEqual([]);
    expect(await told(quiet + more)).toEqual(['requested']);
  });

  it('has a higher sequence than any before, also in a folder out of a backup', async () => {
    const renewal = await new Renewal().settle();
    const sequence = Number(renewal.text('sequence'));
    renewal.after(3 * HOUR);
    await renewal.told('requested');
    expect(Number(renewal.text('sequence'))).toBeGreaterThanOrEqual(sequence + 3 * 3600);
    await renewal.close();
    writeFileSync(join(renewal.folder, 'sequence'), `${sequence}\n`);
    rmSync(join(renewal.folder, 'pending.key'));
    const again = new Renewal(renewal.folder, {}, renewal.now + 1000).start();
    await again.told('requested');
    expect(Number(again.text('sequence'))).toBeGreaterThan(sequence + 3 * 3600);
  });

  it('is warned of at a third and a sixth of the life, and at its end, once each', async () => {
    const renewal = await new Renewal().settle();
    renewal.after(3 * HOUR);
    await renewal.told('requested');
    renewal.after(5.1 * HOUR);
    expect((await renewal.told('ending')).secondsLeft).toBeCloseTo(3.9 * 3600, -2);
    renewal.after(0.1 * HOUR);
    renewal.after(2 * HOUR);
    expect((await renewal.told('ending')).secondsLeft).toBeCloseTo(1.8 * 3600, -2);
    expect(renewal.current()).toBeDefined();
    renewal.after(2 * HOUR);
    expect((await renewal.told('ended')).secondsLeft).toBe(0);
    expect(renewal.current()).toBeUndefined();
    expect(renewal.events).toEqual([]);
    await renewal.pass({ from: Date.now(), life: 24 * 3600 });
    await renewal.told('renewed');
    expect(renewal.current()).toBeDefined();
  });

  it('is asked for anew where a request was taken and never answered, or has expired in the inbox', async () => {
    const renewal = await new Renewal().settle();
    renewal.after(3 * HOUR);
    const { id } = await renewal.told('requested');
    issuer.clear(id);
    const key = renewal.text('pending.key');
    renewal.after(2 * HOUR);
    expect(renewal.events).toEqual([]);
    renewal.after(1.1 * HOUR);
    const second = await renewal.told('requested');
    expect(second.id).not.toBe(id);
    renewal.after(12 * HOUR);
    await renewal.told('ended');
    expect(issuer.arrivals(renewal.requestKey).map((each) => each.id)).toEqual([second.id]);
    renewal.after(12 * HOUR);
    const third = await renewal.told('requested');
    expect(issuer.arrivals(renewal.requestKey).map((each) => each.id)).toEqual([third.id]);
    expect(renewal.text('pending.key')).toBe(key);
  });

  it('is taken also where the answer is that to an earlier request for the same key', async () => {
    const renewal = await new Renewal().settle();
    renewal.after(3 * HOUR);
    const { id } = await renewal.told('requested');
    const [asked] = issuer.arrivals(renewal.requestKey);
    issuer.clear(id);
    renewal.after(4 * HOUR);
    await renewal.told('requested');
    issuer.put(id, await issuer.leaf(asked?.csr as never, { from: Date.now() - HOUR }));
    await renewal.told('renewed');
  });
});

describe('an answer that is unfit', () => {
  const start = async () => {
    const renewal = await new Renewal().settle();
    const serialNumber = renewal.current()?.leaf.serialNumber;
    renewal.after(3 * HOUR);
    const { id } = await renewal.told('requested');
    const [asked] = issuer.arrivals(renewal.requestKey);
    return { renewal, serialNumber, id, csr: asked?.csr as never };
  };

  it.each<[string, Given, RegExp]>([
    ['for other names', { names: [{ type: 'dns', value: 'evil.example.com' }] }, /doesn't name DNS:api/],
    [
      'for more names',
      {
        names: [
          { type: 'dns', value: 'api.example.com' },
          { type: 'dns', value: 'more.example.com' },
          { type: 'ip', value: '::1' },
          { type: 'url', value: 'spiffe://example.com/gateway' },
        ],
      },
      /names DNS:more\.example\.com/,
    ],
    ['that has ended', { from: START - 10 * HOUR }, /it ended at/],
    ['that has not begun', { from: Date.now() + 13 * HOUR }, /lies ahead/],
    ['for another use', { use: 'client' }, /not for the use "server"/],
    ["that is an issuer's", { ca: true }, /that of an issuer/],
    ['that OpenSSL alone finds unfit', { strange: '1.2.3.4' }, /a handshake with it fails/],
  ])('%s is said and not used, and what is in force stays', async (_what, given, why) => {
    const { renewal, serialNumber, id, csr } = await start();
    issuer.put(id, await issuer.leaf(csr, { from: renewal.now, ...given }));
    expect((await renewal.told('failed')).detail).toMatch(why);
    expect(renewal.current()?.leaf.serialNumber).toBe(serialNumber);
  });

  it('of a foreign root, or for another key, is not used either; it is said once, and asked anew', async () => {
    const { renewal, serialNumber, id, csr } = await start();
    issuer.put(id, await foreign.leaf(csr, { from: renewal.now }));
    expect((await renewal.told('failed')).detail).toMatch(/none of the trusted roots/);
    renewal.after(1000);
    renewal.after(1000);
    renewal.after(60_000);
    const { id: second } = await renewal.told('requested');
    expect(renewal.events.filter(({ event }) => event === 'failed')).toEqual([]);
    issuer.put(
      second,
      await issuer.leaf(certificateRequest(newCertificateKey(), NAMES), { from: renewal.now }),
    );
    expect((await renewal.told('failed')).detail).toMatch(/for another key/);
    expect(renewal.current()?.leaf.serialNumber).toBe(serialNumber);
  });

  it.each([
    ['half a file', (chain: string) => chain.slice(0, 300)],
    ['nonsense', () => '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'],
  ])('that is %s does no harm, and the whole one is taken after', async (_what, spoil) => {
    const { renewal, id, csr } = await start();
    const chain = await issuer.leaf(csr, { from: renewal.now });
    issuer.put(id, spoil(chain));
    await renewal.told('failed');
    issuer.put(id, chain);
    await renewal.told('renewed');
  });

  it.each<[string, (file: string) => void, string]>([
    ['a pipe', (file) => execFileSync('mkfifo', [file]), 'is no plain file'],
    ['a link', (file) => symlinkSync('/dev/zero', file), "can't be read (ELOOP)"],
    ['a folder', (file) => mkdirSync(file), 'is no plain file'],
    ['larger than any chain', (file) => writeFileSync(file, Buffer.alloc(100 * 1024 * 1024)), 'is longer'],
  ])('that is %s holds up nothing: it is said once, and asked anew', async (_what, put, why) => {
    const { renewal, serialNumber, id } = await start();
    put(join(issuer.outbox, `${id}.pem`));
    renewal.after(1000);
    expect((await renewal.told('failed')).detail).toContain(`${id}.pem ${why}`);
    renewal.after(60_000);
    const { id: second } = await renewal.told('requested');
    expect(renewal.events.filter(({ event }) => event === 'failed')).toEqual([]);
    expect(renewal.current()?.leaf.serialNumber).toBe(serialNumber);
    issuer.clear(id);
    await renewal.pass();
    await renewal.told('renewed');
    expect(second).not.toBe(id);
  });

  it('or none, since the issuer refused: its reason is told', async () => {
    const { renewal, id } = await start();
    issuer.clear(id);
    mkdirSync(join(issuer.inbox, 'rejected'));
    const reason = JSON.stringify({
      code: 'requester-unknown',
      detail: 'No requester "gateway" is enrolled.',
    });
    writeFileSync(join(issuer.inbox, 'rejected', `${id}.reason.json`), reason);
    renewal.after(1);
    expect((await renewal.told('failed')).detail).toMatch(/No requester .* \(requester-unknown\)/);
    renewal.after(60_000);
    expect((await renewal.told('requested')).id).not.toBe(id);
  });

  it('a link that others put in the way of a request leads to nothing of ours', async () => {
    const renewal = new Renewal();
    const precious = join(renewal.folder, 'request.key');
    const before = readFileSync(precious);
    const file = `gateway-${Math.floor(renewal.now / 1000)}.csr`;
    symlinkSync(precious, join(issuer.inbox, `.${file}.${process.pid}.part`));
    await renewal.settle();
    expect(readFileSync(precious)).toEqual(before);
    expect(statSync(precious).mode & 0o777).toBe(0o600);
  });

  it('nor does one that is put there once more, at the very moment in which it was removed', () => {
    const folder = issuer.newFolder();
    const [file, precious] = [join(folder, 'file'), join(folder, 'precious')];
    writeFileSync(precious, 'before');
    vi.spyOn(fs, 'rmSync').mockImplementationOnce((path) => symlinkSync(precious, path));
    syncBuiltinESMExports();
    onTestFinished(() => {
      vi.restoreAllMocks();
      syncBuiltinESMExports();
    });
    expect(() => replaceFile(file, 'ours')).toThrow(expect.objectContaining({ code: 'EEXIST' }));
    expect(readFileSync(precious, 'utf8')).toBe('before');
  });

  it('a disk that refuses a request is said, and it is tried again', async () => {
    const renewal = await new Renewal().settle();
    rmSync(issuer.inbox, { recursive: true });
    writeFileSync(issuer.inbox, 'in the way');
    renewal.after(3 * HOUR);
    await renewal.told('failed');
    rmSync(issuer.inbox);
    renewal.after(60_000);
    await renewal.told('requested');
    expect(issuer.arrivals(renewal.requestKey)).toHaveLength(1);
  });
});

describe('a clock that steps back', () => {
  it('leaves no request behind that was made in what is the future now', async () => {
    const renewal = await new Renewal().settle();
    renewal.after(30 * HOUR);
    const { id: early } = await renewal.told('requested');
    await renewal.told('ended');
    renewal.after(-30 * HOUR);
    issuer.clear(early);
    renewal.after(HOUR);
    const { id } = await renewal.told('requested');
    expect(id).not.toBe(early);
    await renewal.pass();
    await renewal.told('renewed');
  });

  it('puts off no further try, and takes back no warning', async () => {
    const renewal = await new Renewal().settle();
    rmSync(issuer.inbox, { recursive: true });
    writeFileSync(issuer.inbox, 'in the way');
    renewal.after(30 * HOUR);
    await renewal.told('failed');
    await renewal.told('ended');
    rmSync(issuer.inbox);
    renewal.after(-27 * HOUR);
    await renewal.told('requested');
    renewal.after(5.1 * HOUR);
    await renewal.told('ending');
  });
});

describe('two processes on one folder', () => {
  it('ask once, and both have what came', async () => {
    const one = await new Renewal().settle();
    const other = new Renewal(one.folder, { random: () => 0.6 }).start();
    expect((await other.first()).leaf.serialNumber).toBe(one.current()?.leaf.serialNumber);
    one.after(3 * HOUR);
    await one.told('requested');
    other.after(3 * HOUR);
    await other.told('requested');
    expect(issuer.arrivals(one.requestKey)).toHaveLength(1);
    await one.pass();
    const [{ serial }, { serial: same }] = [await one.told('renewed'), await other.told('renewed')];
    expect(same).toBe(serial);
    await Promise.all([one.close(), other.close()]);
    expect([...one.events, ...other.events]).toEqual([]);
    expect((await new Renewal(one.folder, {}, one.now).start().first()).leaf.serialNumber).toBe(serial);
  });

  it('may have begun before there was a certificate', async () => {
    const one = new Renewal().start();
    const other = new Renewal(one.folder).start();
    await Promise.all([one.told('requested'), other.told('requested')]);
    await one.pass();
    const found = await Promise.all([one.first(), other.first()]);
    expect(new Set(found.map(({ leaf }) => leaf.serialNumber)).size).toBe(1);
  });

  it('keep key and chain together where the other asks for the next key already', async () => {
    const renewal = await new Renewal().settle();
    await renewal.close();
    const store = new CertificateFolder(renewal.folder);
    const certificate = renewal.current() as Certificate;
    const its = renewal.text('current.key');
    store.newPending();
    store.replace(certificate);
    expect(renewal.text('current.key')).toBe(its);
    expect(store.pending()).toBeDefined();
    writeFileSync(join(renewal.folder, 'current.key'), renewal.text('pending.key'));
    store.replace(certificate);
    expect(renewal.text('current.key')).toBe(its);
    expect(statSync(join(renewal.folder, 'current.key')).mode & 0o777).toBe(0o600);
  });

  it('take up what the other has put in force meanwhile, where it serves them', async () => {
    const one = await new Renewal().settle();
    const other = new Renewal(one.folder).start();
    await other.first();
    one.after(3 * HOUR);
    await one.told('requested');
    await one.pass();
    const { serial } = await one.told('renewed');
    issuer.empty();
    other.after(3 * HOUR);
    expect((await other.told('renewed')).serial).toBe(serial);
  });
});

describe('a start', () => {
  it('takes up what an earlier process had, without asking', async () => {
    const renewal = await new Renewal().settle();
    await renewal.close();
    const again = new Renewal(renewal.folder).start();
    expect((await again.first()).leaf.serialNumber).toBe(renewal.current()?.leaf.serialNumber);
    expect(issuer.arrivals(again.requestKey)).toEqual([]);
  });

  it('with other names asks at once, and serves the old ones meanwhile', async () => {
    const renewal = await new Renewal().settle();
    await renewal.close();
    const again = new Renewal(renewal.folder, { names: { ...NAMES, dns: ['new.example.com'] } }).start();
    await again.told('requested');
    expect(again.current()).toBeDefined();
    await again.pass();
    await again.told('renewed');
    expect(again.current()?.leaf.subjectAltName).toContain('DNS:new.example.com');
  });

  it.each([
    ['that has ended', 7 * 3600, 2 * HOUR],
    ['whose root has ended', 48 * 3600, 25 * HOUR],
  ])('with a certificate %s asks for another', async (_what, life, later) => {
    const renewal = await new Renewal().settle({ life });
    await renewal.close();
    const again = new Renewal(renewal.folder, {}, Date.now() + later).start();
    await again.told('requested');
    expect(again.current()).toBeUndefined();
  });
});

describe('killed', () => {
  /** The folder as it was at the moment, taken up by another process. */
  function killed(renewal: Renewal, change: (file: (name: string) => string) => void): Renewal {
    const folder = issuer.newFolder();
    cpSync(renewal.folder, folder, { recursive: true });
    change((name) => join(folder, name));
    return new Renewal(folder, {}, renewal.now);
  }

  const asking = async () => {
    const renewal = await new Renewal().settle();
    renewal.after(3 * HOUR);
    const { id } = await renewal.told('requested');
    await renewal.close();
    return { renewal, id };
  };

  it('before anything was dropped, it asks for the key that it made', async () => {
    const { renewal, id } = await asking();
    issuer.clear(id);
    const again = killed(renewal, (file) => rmSync(file('pending.json'))).start();
    await again.told('requested');
    expect(again.text('pending.key')).toBe(renewal.text('pending.key'));
    await again.pass();
    await again.told('renewed');
  });

  it('amid the writing of a key, it leaves no part of it behind, and touches none of a living process', async () => {
    const { renewal } = await asking();
    const { pid } = spawnSync('true');
    const again = killed(renewal, (file) => {
      for (const id of [pid, process.ppid]) writeFileSync(file(`.pending.key.${id}.part`), 'half a key');
    });
    const parts = readdirSync(again.folder).filter((name) => name.endsWith('.part'));
    expect(parts).toEqual([`.pending.key.${process.ppid}.part`]);
  });

  it('amid the dropping, it drops a whole request in the place of the half', async () => {
    const { renewal, id } = await asking();
    rmSync(join(issuer.inbox, `${id}.sig`));
    const again = killed(renewal, (file) => {
      const { requests } = JSON.parse(readFileSync(file('pending.json'), 'utf8'));
      requests.at(-1).dropped = false;
      writeFileSync(file('pending.json'), JSON.stringify({ requests }));
    }).start();
    const { id: second } = await again.told('requested');
    expect(readdirSync(issuer.inbox).sort()).toEqual(
      ['csr', 'json', 'sig'].map((part) => `${second}.${part}`),
    );
    await again.pass();
    await again.told('renewed');
  });

  it('after the dropping, it waits for that answer and asks nothing more', async () => {
    const { renewal } = await asking();
    await renewal.pass();
    const again = killed(renewal, () => {}).start();
    await again.told('renewed');
    expect(again.events).toEqual([]);
  });

  it('before the first certificate, it asks anew once what it dropped is gone for long and unanswered', async () => {
    const renewal = new Renewal().start();
    const { id } = await renewal.told('requested');
    await renewal.close();
    issuer.clear(id);
    const early = killed(renewal, () => {}).start();
    // Somebody may be carrying it, and there is nothing to carry but the answer.
    expect(await early.told('requested')).toMatchObject({ id, isWaiting: false });
    await early.close();
    expect(issuer.arrivals(renewal.requestKey)).toEqual([]);
    const late = killed(renewal, () => {});
    late.after(3 * HOUR);
    expect((await late.told('requested')).id).not.toBe(id);
    await late.pass();
    await late.told('renewed');
  });

  it('while the request waits to be carried, it tells of it again, once', async () => {
    const { renewal, id } = await asking();
    const again = killed(renewal, () => {}).start();
    expect(await again.told('requested')).toMatchObject({ id, isWaiting: true });
    again.after(1000);
    await again.pass();
    await again.told('renewed');
    expect(again.events).toEqual([]);
  });

  it('between the certificate and its key, it puts them together', async () => {
    const { renewal, id } = await asking();
    await renewal.pass();
    const chain = readFileSync(join(issuer.outbox, `${id}.pem`), 'utf8');
    const again = killed(renewal, (file) => writeFileSync(file('current.pem'), chain)).start();
    expect((await again.first()).leaf.serialNumber).toBe(new X509Certificate(chain).serialNumber);
    expect(again.text('current.key')).toBe(renewal.text('pending.key'));
    expect(existsSync(join(again.folder, 'pending.key'))).toBe(false);
    expect(again.events).toEqual([]);
  });

  it('after the key was moved, it asks for the next one in its time', async () => {
    const { renewal, id } = await asking();
    await renewal.pass();
    const chain = readFileSync(join(issuer.outbox, `${id}.pem`), 'utf8');
    const again = killed(renewal, (file) => {
      writeFileSync(file('current.pem'), chain);
      renameSync(file('pending.key'), file('current.key'));
    }).start();
    await again.first();
    again.after(3 * HOUR);
    await again.told('requested');
    await again.pass();
    await again.told('renewed');
  });
});
