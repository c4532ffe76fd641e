/** One pass over the inbox: who gets a leaf, who doesn't and why, and that one never stops another. */
import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { newCertificateKey } from '../../src/client/certificate/certificate-request.ts';
import { issueEvent } from '../../src/issuer/history-rows.ts';
import { Inbox } from '../../src/issuer/inbox.ts';
import { issueLeaf } from '../../src/issuer/leaf.ts';
import { Ledger } from '../../src/issuer/ledger.ts';
import type { Outcome } from '../../src/issuer/outcome.ts';
import { NOON, partsOf, type RequestChange, Requester, Scene } from './inbox-scene.ts';

const HOUR = 3600;

function chain(scene: Scene, id: string): X509Certificate {
  return new X509Certificate(readFileSync(join(scene.outbox, `${id}.pem`)));
}

describe('a request that may be answered', () => {
  it('gets its chain in the outbox, leaves the inbox, and stands in the ledger', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const id = gateway.ask();
    const told: Outcome[] = [];
    const { outcomes } = await scene.pass({ onOutcome: (outcome) => told.push(outcome) });
    const leaf = chain(scene, id);
    const notAfter = NOON + 12 * HOUR;
    expect(outcomes).toEqual([
      {
        outcome: 'issued',
        id,
        requester: 'gateway',
        names: ['DNS:api.example.org'],
        serial: leaf.serialNumber,
        notAfter,
      },
    ]);
    expect(told).toEqual(outcomes);
    expect(scene.files()).toEqual({ inbox: [], rejected: [], outbox: [`${id}.pem`] });
    expect(leaf.subjectAltName).toBe('DNS:api.example.org');
    expect(leaf.checkIssued(scene.authority.certificate)).toBe(true);
    expect(scene.rows().slice(-2)).toMatchObject([
      { event: 'issue', id, requester: 'gateway', sequence: 1, serial: leaf.serialNumber, notAfter },
      { event: 'pass', started: NOON, isWhole: true, issued: 1, rejected: 0, postponed: 0 },
    ]);
  });

  it('is answered again and again, each time for a new key and while the old leaf lives', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    for (let time = 0; time < 3; time++) {
      const id = gateway.ask();
      expect((await scene.pass()).outcomes).toMatchObject([{ outcome: 'issued', id }]);
      scene.clock.seconds += 5 * HOUR;
    }
  });

  it('is answered in the order of its sequence, whatever the order of the names', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    gateway.ask({ id: 'b-first' });
    gateway.ask({ id: 'a-second' });
    const { outcomes } = await scene.pass();
    expect(outcomes.map(({ id, outcome }) => [id, outcome])).toEqual([
      ['b-first', 'issued'],
      ['a-second', 'issued'],
    ]);
  });

  it('lives as long as the profile says', async () => {
    const scene = await Scene.make();
    const shop = await scene.requester('shop');
    shop.ask();
    expect((await scene.pass()).outcomes).toMatchObject([{ outcome: 'issued', notAfter: NOON + HOUR }]);
  });

  it('waits while a file of it is missing', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const id = gateway.ask();
    const [csr, , sig] = partsOf(id).map((name) => join(scene.inbox, name)) as [string, string, string];
    for (const missing of [sig, csr]) {
      renameSync(missing, `${missing}.later`);
      const { outcomes, partial } = await scene.pass();
      // Without ID.sig it isn't a request yet.
      expect({ outcomes, partial }).toEqual({ outcomes: [], partial: missing === csr ? [id] : [] });
      renameSync(`${missing}.later`, missing);
    }
    expect((await scene.pass()).outcomes).toMatchObject([{ outcome: 'issued', id }]);
  });

  it('takes no notice of hidden files, which others are still writing', async () => {
    const scene = await Scene.make();
    writeFileSync(join(scene.inbox, '.gateway-1.sig'), '');
    writeFileSync(join(scene.inbox, '.gateway-1.sig.Ab3dEf'), '');
    expect(await scene.pass()).toEqual({ outcomes: [], partial: [] });
  });
});

const stranger = generateKeyPairSync('ed25519').privateKey;

const REFUSALS: [what: string, change: RequestChange, detail: RegExp, code?: string][] = [
  ['JSON that is none', { json: '{' }, /not JSON/],
  ['JSON of another shape', { json: '[]' }, /^ID\.json: /],
  ['another member', { document: { admin: true } }, /ID\.json: /],
  ['a name that climbs', { document: { requester: '../../root' } }, /ID\.json: requester/],
  ['a use that there is not', { document: { use: 'ca' } }, /ID\.json: use/],
  ['a time with a fraction', { document: { created: NOON + 0.5 } }, /ID\.json: created/],
  ['a number that is too large', { document: { sequence: 2 ** 53 } }, /ID\.json: sequence/],
  [
    'a requester that nobody enrolled',
    { document: { requester: 'nobody' } },
    /No requester "nobody"/,
    'requester-unknown',
  ],
  [
    "another's name",
    { document: { requester: 'twin' } },
    /not made over ID\.json with the request key of twin/,
  ],
  ['a signature by another key', { signer: stranger }, /not made over ID\.json/],
  ['a signature that is none', { sig: 'AAAA' }, /not an Ed25519 signature/],
  ['a signature with more beside it', { sig: `${'A'.repeat(86)}== x` }, /not an Ed25519 signature/],
  ['another CSR than was meant', { document: { csrSha256: '0'.repeat(64) } }, /not the one/],
  ['another issuer', { document: { issuer: '0'.repeat(64) } }, /It asks the issuer (00:){31}00,/],
  [
    'one that expired',
    { document: { created: NOON - 2 * HOUR, expires: NOON } },
    /It expired at 2026-11-22T12:00:00/,
  ],
  ['one that lives too long', { document: { expires: NOON + 24 * HOUR + 1 } }, /within 24 h/],
  ['one that ends before it begins', { document: { expires: NOON - 1 } }, /after it was created/],
  [
    'one of tomorrow',
    { document: { created: NOON + 301, expires: NOON + 400 } },
    /ahead of this box's clock/,
  ],
  [
    'one of no time that a calendar has',
    { document: { created: 9e15, expires: 9e15 + 1 } },
    /ahead of this box's clock/,
  ],
  ['a CSR that is none', { csr: 'hello' }, /PEM block/],
  ['a name outside the profile', { names: { dns: ['www.example.org'] } }, /doesn't grant the name www/],
  [
    'a name beside one of the profile',
    { names: { dns: ['api.example.org', 'www.example.org'] } },
    /doesn't grant/,
  ],
  ['a use outside the profile', { document: { use: 'client' } }, /grants the use server/],
];

describe('a request is refused, and goes to rejected/ with its reason, for', () => {
  it.each(REFUSALS)('%s', async (_what, change, detail, code = 'certificate-request-refused') => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    await scene.requester('twin');
    const bad = gateway.ask({ id: 'bad', ...change });
    const shop = await scene.requester('shop');
    const good = shop.ask();
    const { outcomes } = await scene.pass();
    expect(outcomes).toContainEqual(
      expect.objectContaining({ outcome: 'rejected', id: bad, code, detail: expect.stringMatching(detail) }),
    );
    expect(outcomes).toContainEqual(expect.objectContaining({ outcome: 'issued', id: good }));
    expect(scene.files()).toEqual({
      inbox: [],
      rejected: [...partsOf(bad), `${bad}.reason.json`].sort(),
      outbox: [`${good}.pem`],
    });
    expect(scene.reason(bad)).toMatchObject({ id: bad, code, detail: expect.stringMatching(detail) });
    expect(scene.reason(bad).at).toBe('2026-11-22T12:00:00.000Z');
  });

  it('more than one reason, and the first ones stay beside the newest', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const ask = async (names: string[]) => {
      gateway.ask({ id: 'bad', names: { dns: names } });
      await scene.pass();
      scene.clock.seconds += 60;
    };
    const first = /doesn't grant the name www/;
    await ask(['www.example.org']);
    expect(scene.reason('bad')).not.toHaveProperty('earlier');
    const again = partsOf('bad').map((file) => join(scene.inbox, 'rejected', file));
    for (const file of again) copyFileSync(file, join(scene.inbox, basename(file)));
    await scene.pass();
    const earlier = [{ id: 'bad', detail: expect.stringMatching(first), at: '2026-11-22T12:00:00.000Z' }];
    expect(scene.reason('bad')).toMatchObject({ detail: expect.stringMatching(/decided once/), earlier });
    for (let i = 0; i < 12; i++) await ask([`${i}.example.org`]);
    const { detail, earlier: kept } = scene.reason('bad');
    expect(detail).toContain('11.example.org');
    expect(kept).toMatchObject([...earlier, ...Array.from({ length: 7 }, () => ({ id: 'bad' }))]);
  });

  it.each(['{', 'null', '[1]', '{"earlier":7}'])(
    'a reason, whatever lies in its place: %s',
    async (content) => {
      const scene = await Scene.make();
      const gateway = await scene.requester('gateway');
      mkdirSync(join(scene.inbox, 'rejected'));
      writeFileSync(join(scene.inbox, 'rejected', 'bad.reason.json'), content);
      gateway.ask({ id: 'bad', names: { dns: ['www.example.org'] } });
      await scene.pass();
      expect(scene.reason('bad').detail).toMatch(/doesn't grant the name www/);
    },
  );

  it("a name that the profile grants, and that the root's constraints don't", async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const file = join(scene.dir, 'profile.yaml');
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll('api.example.org', 'api.example.com'));
    const id = gateway.ask({ names: { dns: ['api.example.com'] } });
    await scene.pass();
    expect(scene.reason(id)).toMatchObject({
      code: 'certificate-request-refused',
      detail: expect.stringMatching(/constraints|root/),
    });
    expect(scene.files().outbox).toEqual([]);
  });

  it('a member that stands there twice, whoever has signed it', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const id = gateway.ask();
    const file = join(scene.inbox, `${id}.json`);
    const json = readFileSync(file, 'utf8').replace('{', '{"requester":"shop",');
    gateway.ask({ id, json });
    await scene.pass();
    expect(scene.reason(id).detail).toMatch(/twice/);
  });

  it.each(partsOf('bad'))('%s that is a symbolic link', async (part) => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const id = gateway.ask({ id: 'bad' });
    const target = join(scene.dir, 'root.key');
    unlinkSync(join(scene.inbox, part));
    symlinkSync(target, join(scene.inbox, part));
    await scene.pass();
    expect(scene.reason(id).detail).toMatch(/is a symbolic link/);
    expect(scene.files().inbox).toEqual([]);
    expect(existsSync(target)).toBe(true);
  });

  it.each(partsOf('bad'))('%s of more than 64 KiB', async (part) => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const id = gateway.ask({ id: 'bad' });
    writeFileSync(join(scene.inbox, part), ' '.repeat(64 * 1024 + 1));
    await scene.pass();
    expect(scene.reason(id).detail).toMatch(/more than 65536 bytes/);
  });

  it.each(partsOf('bad'))('%s that is a folder', async (part) => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const id = gateway.ask({ id: 'bad' });
    unlinkSync(join(scene.inbox, part));
    mkdirSync(join(scene.inbox, part));
    await scene.pass();
    expect(scene.reason(id).detail).toMatch(/not a regular file/);
    expect(scene.files().inbox).toEqual([]);
  });

  it('a pipe that nobody writes to, without waiting for it', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const id = gateway.ask();
    unlinkSync(join(scene.inbox, `${id}.csr`));
    execFileSync('mkfifo', [join(scene.inbox, `${id}.csr`)]);
    await scene.pass();
    expect(scene.reason(id).detail).toMatch(/not a regular file/);
  });

  it('a name that no request can have', async () => {
    const scene = await Scene.make();
    const odd = 'a b\u001b[31m';
    writeFileSync(join(scene.inbox, `${odd}.sig`), '');
    writeFileSync(join(scene.inbox, `${'x'.repeat(65)}.sig`), '');
    const { outcomes } = await scene.pass();
    expect(outcomes).toMatchObject([{ outcome: 'rejected' }, { outcome: 'rejected' }]);
    for (const { id } of outcomes) expect(id).toMatch(/^unnamed-[0-9a-f]{16}$/);
    expect(JSON.stringify(outcomes)).not.toContain(odd);
    expect(scene.files().inbox).toEqual([]);
  });

  it('an approval that has lapsed, until it is renewed', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    scene.clock.seconds += 30 * 24 * HOUR - 1;
    const last = gateway.ask();
    expect((await scene.pass({ acceptClock: true })).outcomes).toMatchObject([
      { outcome: 'issued', id: last },
    ]);
    scene.clock.seconds += 1;
    const late = gateway.ask();
    expect((await scene.pass()).outcomes).toMatchObject([
      { outcome: 'rejected', id: late, code: 'requester-unknown', detail: expect.stringMatching(/lapsed/) },
    ]);
    await gateway.enrol();
    const id = gateway.ask();
    expect((await scene.pass()).outcomes).toMatchObject([{ outcome: 'issued', id }]);
  });
});

describe('nothing is answered twice', () => {
  it('the same files again are refused, under the same id and another', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const id = gateway.ask();
    const kept = partsOf(id).map((name) => [name, readFileSync(join(scene.inbox, name))] as const);
    await scene.pass();
    for (const [name, content] of kept) {
      writeFileSync(join(scene.inbox, name), content);
      writeFileSync(join(scene.inbox, name.replace(id, 'other')), content);
    }
    const before = scene.rows().length;
    const { outcomes } = await scene.pass();
    expect(outcomes).toMatchObject([
      { outcome: 'rejected', id, detail: expect.stringMatching(/decided before.*rejected\/ back/) },
      { outcome: 'rejected', id: 'other', detail: expect.stringMatching(/decided before/) },
    ]);
    // What anybody can repeat doesn't fill the ledger.
    expect(scene.rows().length).toBe(before + 1);
  });

  it('a request is refused whose sequence is not higher than the last, also of one that was refused', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    gateway.ask({ document: { sequence: 7 } });
    await scene.pass();
    for (const sequence of [7, 6]) {
      gateway.ask({ document: { sequence } });
      const { outcomes } = await scene.pass();
      expect(outcomes).toMatchObject([
        { outcome: 'rejected', detail: expect.stringMatching(/has come to 7/) },
      ]);
    }
    gateway.ask({ document: { sequence: 9 }, names: { dns: ['www.example.org'] } });
    await scene.pass();
    gateway.ask({ document: { sequence: 8 } });
    const { outcomes } = await scene.pass();
    expect(outcomes).toMatchObject([{ outcome: 'rejected', detail: expect.stringMatching(/has come to 9/) }]);
  });

  it('what nobody is known to have written burns no sequence and fills no ledger', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    gateway.ask({ id: 'forged', document: { sequence: 99 }, signer: stranger });
    const id = gateway.ask();
    const { outcomes } = await scene.pass();
    expect(outcomes).toContainEqual(expect.objectContaining({ outcome: 'issued', id }));
    expect(scene.rows().map(({ event }) => event)).toEqual(['root', 'enrol', 'bundle', 'issue', 'pass']);
  });

  it('sequences are counted anew for a request key that takes the place of another', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    gateway.ask({ document: { sequence: 1000 } });
    await scene.pass();
    const again = new Requester(scene, 'gateway');
    await again.enrol({ replace: true });
    const id = again.ask({ id: 'again' });
    expect((await scene.pass()).outcomes).toMatchObject([{ outcome: 'issued', id }]);
  });
});

describe('a name has one owner', () => {
  it('another requester is refused while a leaf of the first lives, and gets the name after', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const twin = await scene.requester('twin');
    gateway.ask();
    await scene.pass();
    scene.clock.seconds += 12 * HOUR - 1;
    const early = twin.ask();
    expect((await scene.pass()).outcomes).toMatchObject([
      {
        outcome: 'rejected',
        id: early,
        requester: 'twin',
        detail: expect.stringMatching(/DNS:api\.example\.org belongs to gateway/),
      },
    ]);
    scene.clock.seconds += 1;
    const id = twin.ask();
    expect((await scene.pass()).outcomes).toMatchObject([{ outcome: 'issued', id }]);
  });

  it('a leaf that the operator vouched for by hand neither takes a name nor frees it', async () => {
    const scene = await Scene.make();
    const [gateway, twin] = [await scene.requester('gateway'), await scene.requester('twin')];
    gateway.ask();
    await scene.pass();
    const by = {
      names: { dns: ['api.example.org'], ip: [], uri: [] },
      use: 'server',
      keyDigest: '',
    } as const;
    const spki = createPublicKey(newCertificateKey()).export({ type: 'spki', format: 'der' });
    const leaf = await issueLeaf(scene.authority, { ...by, spki }, scene.clock);
    new Ledger(scene.dir).append(issueEvent(leaf, by), scene.clock);
    const id = gateway.ask();
    twin.ask();
    expect((await scene.pass()).outcomes).toMatchObject([
      { outcome: 'issued', id },
      { outcome: 'rejected', detail: expect.stringMatching(/DNS:api\.example\.org belongs to gateway/) },
    ]);
  });

  it('of two that ask in one pass one gets it', async () => {
    const scene = await Scene.make();
    (await scene.requester('gateway')).ask();
    (await scene.requester('twin')).ask();
    const { outcomes } = await scene.pass();
    expect(outcomes.map(({ outcome }) => outcome).sort()).toEqual(['issued', 'rejected']);
  });

  it('a requester may have another of its names', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    (await scene.requester('twin')).ask();
    await scene.pass();
    const id = gateway.ask({ names: { dns: ['spare.example.org'] } });
    expect((await scene.pass()).outcomes).toMatchObject([{ outcome: 'issued', id }]);
  });

  it("an id that another had is refused: its chain would take the other's place", async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const shop = await scene.requester('shop');
    const id = gateway.ask();
    await scene.pass();
    const mine = readFileSync(join(scene.outbox, `${id}.pem`));
    shop.ask({ id });
    expect((await scene.pass()).outcomes).toMatchObject([
      { outcome: 'rejected', detail: expect.stringMatching(/A request of gateway had the id/) },
    ]);
    expect(readFileSync(join(scene.outbox, `${id}.pem`))).toEqual(mine);
  });
});

describe('the clock', () => {
  it('that stands before the newest row of the ledger stops the pass, and no request is touched', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const id = gateway.ask();
    scene.clock.seconds -= 1;
    for (const acceptClock of [false, true]) {
      await expect(scene.pass({ acceptClock })).rejects.toMatchObject({ code: 'clock-untrusted' });
    }
    expect(scene.files()).toEqual({ inbox: partsOf(id), rejected: [], outbox: [] });
  });

  it('more than 24 h after it must be accepted, once: a pass without requests is a row too', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    scene.clock.seconds += 24 * HOUR + 1;
    const id = gateway.ask();
    await expect(scene.pass()).rejects.toMatchObject({ code: 'clock-untrusted' });
    expect((await scene.pass({ acceptClock: true })).outcomes).toMatchObject([{ outcome: 'issued', id }]);
    for (let day = 0; day < 3; day++) {
      scene.clock.seconds += 24 * HOUR;
      await scene.pass();
    }
  });
});

describe('what nobody needs any more is removed', () => {
  const DAY = 24 * HOUR;

  it('from the outbox once its certificate has ended, and nothing that was not answered from here', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const ended = gateway.ask();
    await scene.pass();
    copyFileSync(join(scene.outbox, `${ended}.pem`), join(scene.outbox, 'copy.pem'));
    writeFileSync(join(scene.outbox, 'notes.pem'), 'not ours');
    scene.clock.seconds += 12 * HOUR - 1;
    const live = gateway.ask();
    await scene.pass();
    expect(scene.files().outbox).toEqual(['copy.pem', `${ended}.pem`, `${live}.pem`, 'notes.pem']);
    scene.clock.seconds += 1;
    await scene.pass();
    expect(scene.files().outbox).toEqual(['copy.pem', `${live}.pem`, 'notes.pem']);
  });

  it('from rejected/ after 30 days, whatever it was, and nothing that others put there', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    gateway.ask({ json: '{' });
    writeFileSync(join(scene.inbox, 'no name.sig'), '');
    writeFileSync(join(scene.inbox, 'strange.ack'), '');
    await scene.pass();
    const rejected = join(scene.inbox, 'rejected');
    const foreign = ['notes.csr', 'notes.reason.json', 'other.reason.json'];
    writeFileSync(join(rejected, 'notes.csr'), '');
    writeFileSync(join(rejected, 'notes.reason.json'), '');
    writeFileSync(join(rejected, 'other.reason.json'), JSON.stringify({ id: 'another', at: '2020-01-01' }));
    scene.clock.seconds += 30 * DAY - 1;
    await scene.pass({ acceptClock: true });
    expect(scene.files().rejected).toHaveLength(foreign.length + 4 + 2 + 2);
    scene.clock.seconds += 1;
    await scene.pass();
    expect(scene.files().rejected).toEqual(foreign);
    // A link may lead to what isn't ours, though it looks so.
    const elsewhere = join(scene.dir, 'elsewhere');
    renameSync(rejected, elsewhere);
    writeFileSync(join(elsewhere, 'other.reason.json'), JSON.stringify({ id: 'other', at: '2020-01-01' }));
    symlinkSync(elsewhere, rejected);
    await scene.pass();
    expect(scene.files().rejected).toEqual(foreign);
  });

  it('or stays where it cannot be, and no request waits for that', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    gateway.ask({ json: '{' });
    await scene.pass();
    const reasonFile = join(scene.inbox, 'rejected', 'gateway-1.reason.json');
    vi.spyOn(Inbox.prototype, 'clearRejected').mockImplementation(() => {
      throw Object.assign(new Error('no'), { code: 'EACCES', syscall: 'rm' });
    });
    onTestFinished(() => void vi.restoreAllMocks());
    scene.clock.seconds += 31 * DAY;
    await gateway.enrol({ acceptClock: true });
    const id = gateway.ask();
    expect((await scene.pass()).outcomes).toMatchObject([{ outcome: 'issued', id }]);
    expect(existsSync(reasonFile)).toBe(true);
  });
});

describe('what the system prevents', () => {
  it('is left for the next pass: an outbox that takes nothing', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const id = gateway.ask();
    // Root may write anywhere, so a folder lies where the draft would.
    const draft = join(scene.outbox, `.${id}.pem.partial`);
    mkdirSync(draft);
    expect((await scene.pass()).outcomes).toMatchObject([
      { outcome: 'postponed', id },
      { outcome: 'postponed', id },
    ]);
    expect(scene.rows().filter(({ event }) => event === 'issue')).toEqual([]);
    rmdirSync(draft);
    expect((await scene.pass()).outcomes).toMatchObject([{ outcome: 'issued', id }]);
  });

  it.each(['inbox', 'outbox'] as const)('is said where there is no %s', async (which) => {
    const scene = await Scene.make();
    renameSync(scene[which], `${scene[which]}.away`);
    await expect(scene.pass()).rejects.toMatchObject({ code: 'config-invalid' });
  });

  it('stops the pass where rejected/ is a link that somebody has put there', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const id = gateway.ask({ json: '{' });
    symlinkSync(scene.dir, join(scene.inbox, 'rejected'));
    const { outcomes } = await scene.pass();
    expect(outcomes).toMatchObject([
      { outcome: 'postponed', id, detail: expect.stringMatching(/not a folder/) },
    ]);
    expect(existsSync(join(scene.dir, `${id}.reason.json`))).toBe(false);
  });

  it('of one requester doesn’t stop the others: a damaged record', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const shop = await scene.requester('shop');
    writeFileSync(join(scene.dir, 'requesters', 'gateway.json'), '{}');
    const waits = gateway.ask();
    const id = shop.ask();
    const { outcomes } = await scene.pass();
    expect(outcomes).toMatchObject([
      { outcome: 'postponed', id: waits, detail: expect.stringMatching(/damaged/) },
      { outcome: 'issued', id },
    ]);
  });
});
