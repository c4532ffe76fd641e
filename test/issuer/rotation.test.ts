/** From one root to the next: nobody in the fleet sees a failed handshake, and nobody is talked into another root. */
import { createHash, sign, X509Certificate } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseCertificates } from '../../src/client/certificate/certificate.ts';
import { fingerprintOf } from '../../src/client/certificate/request-files.ts';
import { type BundleExpectation, readTrustBundle } from '../../src/client/certificate/trust-bundle.ts';
import { createAuthority, openAuthority } from '../../src/issuer/authority.ts';
import type { NameConstraints } from '../../src/issuer/constraints.ts';
import { APPROVAL_SECONDS } from '../../src/issuer/requesters.ts';
import { type Rotation, rotate, rotationUnderWay } from '../../src/issuer/rotation.ts';
import { BUNDLE_PURPOSE } from '../../src/issuer/trust-bundle.ts';
import { ManualClock } from '../storage/manual-clock.ts';
import { Member } from './fleet.ts';
import { NOON, PASSPHRASE, Requester, Scene } from './inbox-scene.ts';
import { scratchFolder } from './scratch-root.ts';

const HOUR = 3600;
const DAY = 24 * HOUR;

function step(scene: Scene, without: string[] = []): Promise<Rotation> {
  const { dir, clock } = scene;
  return rotate({ dir, passphrase: PASSPHRASE, clock, without });
}

/** A pass by the root that issues now, as a new process would make it. */
async function pass(scene: Scene): Promise<void> {
  await scene.reopen().pass();
}

const bundleOf = (folder: string) => readFileSync(join(folder, 'trust-bundle.json'), 'utf8');

function rootsIn(member: Member): string[] {
  return parseCertificates(member.trust()).map(fingerprintOf);
}

describe('a fleet whose root changes', () => {
  it('sees no failed handshake at any step, however late one of it looks', async () => {
    const scene = await Scene.make();
    // Handshakes are judged by the machine's own clock.
    scene.clock.seconds = Math.max(NOON, Math.floor(Date.now() / 1000));
    await scene.pass({ acceptClock: true });
    const early = await Member.join(scene, 'gateway', 'api.example.org');
    const late = await Member.join(scene, 'second', 'second.example.org');
    const all = [early, late];
    const expectAllCalls = async () => {
      for (const callee of all) for (const caller of all) await callee.isCalledBy(caller);
    };
    const renew = async (members: Member[]) => {
      for (const member of members) member.ask();
      await pass(scene);
      for (const member of members) member.collect();
      await expectAllCalls();
    };
    await renew(all);
    for (const member of all) expect(member.follow()).toBe(1);
    const old = scene.authority.fingerprint;

    const begun = await step(scene);
    expect(begun).toMatchObject({ done: 'begun', issuing: old, missing: ['gateway', 'second'] });
    const next = begun.other ?? '';
    expect(next).not.toBe(old);
    await renew(all);
    expect(early.follow()).toBe(2);
    expect(early.follow()).toBeUndefined();
    expect(rootsIn(early)).toEqual([old, next]);
    expect(rootsIn(late)).toEqual([old]);
    await renew(all);
    expect(await step(scene)).toMatchObject({ done: 'waiting', issuing: old, missing: ['second'] });
    await renew([early]);

    expect(late.follow()).toBe(2);
    await renew([late]);
    expect(await step(scene)).toMatchObject({ done: 'switched', issuing: next, other: old });
    // One of them has a leaf of the new root, the other still one of the old root.
    await renew([early]);
    await renew([late]);
    for (const member of all) expect(member.follow()).toBe(3);

    scene.clock.seconds += 12 * HOUR - 1;
    expect(await step(scene)).toMatchObject({ done: 'waiting', issuing: next, missing: [] });
    scene.clock.seconds += 1;
    expect(await step(scene)).toEqual({ done: 'ended', issuing: next, missing: [] });
    await pass(scene);
    for (const member of all) expect(member.follow()).toBe(4);
    for (const member of all) expect(rootsIn(member)).toEqual([next]);
    const left = readdirSync(scene.dir, { recursive: true }).map(String);
    expect(left.filter((name) => name.endsWith('.key'))).toEqual(['root.key']);
    const root = openAuthority(scene.dir, PASSPHRASE);
    expect(root.certificate.subject).toBe(scene.authority.certificate.subject);
    expect(root.fingerprint).toBe(next);
  });

  it('goes on without one that the operator names, or whose approval has lapsed', async () => {
    const scene = await Scene.make();
    const member = await Member.join(scene, 'gateway', 'api.example.org');
    await Member.join(scene, 'second', 'second.example.org');
    await scene.pass();
    await step(scene);
    await pass(scene);
    member.follow();
    await pass(scene);
    expect(await step(scene)).toMatchObject({ done: 'waiting', missing: ['second'] });
    const missingAt = (seconds: number) => rotationUnderWay(scene.dir, new ManualClock(seconds))?.missing;
    expect(missingAt(NOON + APPROVAL_SECONDS - 1)).toEqual(['second']);
    expect(missingAt(NOON + APPROVAL_SECONDS)).toEqual([]);
    expect(await step(scene, ['second'])).toMatchObject({ done: 'switched' });
    // What it missed it can still take over: the old root has signed it too.
    await pass(scene);
  });

  it('does not go on without a name that nobody is enrolled by, and is told who is', async () => {
    const scene = await Scene.make();
    await expect(step(scene, ['gateway'])).rejects.toThrow(
      expect.objectContaining({ code: 'requester-unknown', message: expect.stringContaining('nobody is.') }),
    );
    await Member.join(scene, 'gateway', 'api.example.org');
    await Member.join(scene, 'second', 'second.example.org');
    await step(scene);
    await expect(step(scene, ['gateway', 'secnod'])).rejects.toThrow(
      expect.objectContaining({
        code: 'requester-unknown',
        message: expect.stringMatching(/as secnod, .* enrolled are gateway, second\.$/),
      }),
    );
    expect(await step(scene, ['gateway', 'second'])).toMatchObject({ done: 'switched' });
  });

  it('that has missed all but the last bundle can still take it over', async () => {
    const scene = await Scene.make();
    const sleeper = await Member.join(scene, 'gateway', 'api.example.org');
    await step(scene);
    await step(scene, ['gateway']);
    scene.clock.seconds += 12 * HOUR;
    const { issuing } = await step(scene);
    await pass(scene);
    expect(sleeper.follow()).toBe(3);
    expect(rootsIn(sleeper)).toEqual([issuing]);
  });

  it('keeps the roots of another name that it trusts', async () => {
    const scene = await Scene.make();
    const member = await Member.join(scene, 'gateway', 'api.example.org');
    const stranger = await Scene.make('Another root');
    writeFileSync(join(member.folder, 'trust.pem'), member.trust() + stranger.authority.pem);
    await step(scene);
    await pass(scene);
    member.follow();
    expect(rootsIn(member)).toContain(stranger.authority.fingerprint);
    expect(rootsIn(member).length).toBe(3);
  });
});

describe('an acknowledgement', () => {
  /** A rotation that waits for one gateway, whose acknowledgement lies in the inbox. */
  async function acknowledged(): Promise<{ scene: Scene; member: Member; file: string }> {
    const scene = await Scene.make();
    const member = await Member.join(scene, 'gateway', 'api.example.org');
    await step(scene);
    await pass(scene);
    member.follow();
    return { scene, member, file: join(scene.inbox, 'gateway-bundle-1.ack') };
  }

  it('is dropped once, and counts when a pass has read it', async () => {
    const { scene, member, file } = await acknowledged();
    expect(await step(scene)).toMatchObject({ done: 'waiting' });
    await pass(scene);
    expect(existsSync(file)).toBe(false);
    member.follow();
    expect(existsSync(file)).toBe(false);
    expect(await step(scene)).toMatchObject({ done: 'switched' });
  });

  it('is dropped again a day later, since it may be lost on its way', async () => {
    const { scene, member, file } = await acknowledged();
    rmSync(file);
    member.follow();
    expect(existsSync(file)).toBe(false);
    scene.clock.seconds += DAY;
    member.follow();
    await pass(scene);
    expect(await step(scene)).toMatchObject({ done: 'switched' });
  });

  it.each([
    ['is no JSON', () => 'hello', /no acknowledgement/],
    [
      'was changed',
      (text: string) => text.replace(/"document":"..../, '"document":"AAAA'),
      /no acknowledgement/,
    ],
    [
      'was signed by another',
      (_text: string, digest: string, other: Requester) => forged(other, 1, digest),
      /not signed with the request key/,
    ],
  ])('that %s is refused with a reason', async (_what, change, why) => {
    const { scene, file } = await acknowledged();
    const other = new Requester(scene, 'gateway');
    const { digest } = scene.rows().findLast(({ event }) => event === 'bundle') ?? {};
    writeFileSync(file, change(readFileSync(file, 'utf8'), String(digest), other));
    await pass(scene);
    expect(scene.reason('gateway-bundle-1')).toMatchObject({
      code: 'certificate-request-refused',
      detail: expect.stringMatching(why),
    });
    expect(await step(scene)).toMatchObject({ done: 'waiting', missing: ['gateway'] });
  });

  it('of a bundle that was never made is refused, whoever has signed it', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    await step(scene);
    for (const version of [1, 2]) {
      writeFileSync(join(scene.inbox, `made-up-${version}.ack`), forged(gateway, version, '0'.repeat(64)));
    }
    await pass(scene);
    expect(scene.reason('made-up-1').detail).toMatch(/not made here/);
    expect(scene.reason('made-up-2').detail).toMatch(/not made here/);
  });

  it('of a machine whose request key was replaced does not count for the new one', async () => {
    const { scene } = await acknowledged();
    await pass(scene);
    await new Requester(scene, 'gateway').enrol({ replace: true });
    expect(await step(scene)).toMatchObject({ done: 'waiting', missing: ['gateway'] });
  });

  function forged(by: Requester, version: number, digest: string): string {
    const document = Buffer.from(JSON.stringify({ requester: by.name, version, digest, created: NOON }));
    const bytes = Buffer.concat([Buffer.from('countersign-acknowledgement-v1\n'), document]);
    const signature = sign(null, bytes, by.key).toString('base64');
    return JSON.stringify({ document: document.toString('base64'), signature });
  }
});

describe('a trust bundle', () => {
  let scene: Scene;
  let stranger: Scene;
  let expectation: BundleExpectation;

  async function made(name?: string): Promise<Scene> {
    const scene = await Scene.make(name);
    await scene.pass();
    return scene;
  }

  const signed = (change: Record<string, unknown>, by: Scene = scene, of: Scene = scene) => {
    const { fingerprint, pem, key } = of.authority;
    const bundle = { version: 5, created: NOON, expires: NOON + DAY, roots: [pem], ...change };
    const bytes = Buffer.from(JSON.stringify(bundle));
    const signature = sign(
      'sha384',
      Buffer.concat([Buffer.from(BUNDLE_PURPOSE), bytes]),
      by.authority.key ?? key,
    );
    const signatures = [{ root: fingerprint, signature: signature.toString('base64') }];
    return JSON.stringify({ bundle: bytes.toString('base64'), signatures });
  };

  /** The root, with one byte of its signature changed. */
  const spoilt = () => {
    const der = Buffer.from(scene.authority.certificate.raw);
    der[der.length - 1] = (der.at(-1) ?? 0) ^ 1;
    return new X509Certificate(der).toString();
  };

  beforeAll(async () => {
    scene = await made();
    stranger = await made('Another root');
    expectation = { trusted: [scene.authority.certificate], version: 0, now: NOON };
  });

  it('is made by the first pass, and by later ones only for a reason', async () => {
    const own = await made();
    const first = bundleOf(own.outbox);
    const read = (text: string) => readTrustBundle(text, { ...expectation, now: own.clock.seconds });
    expect(read(first)).toMatchObject({ version: 1, expires: NOON + 30 * DAY });
    for (let day = 0; day < 14; day++) {
      own.clock.seconds += DAY;
      await own.pass();
    }
    expect(bundleOf(own.outbox)).toBe(first);
    own.clock.seconds += DAY;
    await own.pass();
    expect(read(bundleOf(own.outbox))).toMatchObject({ version: 2, expires: NOON + 45 * DAY });
    // What is damaged or lost is made again, under a number of its own.
    writeFileSync(join(own.dir, 'trust-bundle.json'), '{}');
    await own.pass();
    expect(read(bundleOf(own.outbox)).version).toBe(3);
  });

  it('is believed for the signature of a trusted root, or the first one for its fingerprint', () => {
    const { certificate, fingerprint } = scene.authority;
    const text = signed({});
    expect(readTrustBundle(text, expectation)).toMatchObject({ version: 5 });
    for (const trusted of [fingerprint, certificate.fingerprint256]) {
      const { roots } = readTrustBundle(text, { ...expectation, trusted });
      expect(roots.map(fingerprintOf)).toEqual([fingerprint]);
    }
    expect(readTrustBundle(text, { ...expectation, version: 5 })).toMatchObject({ version: 5 });
  });

  it.each<[string, () => string, RegExp, Partial<BundleExpectation>?]>([
    ['is no JSON', () => 'hello', /not JSON/],
    ['is another object', () => '{}', /no bundle/],
    ['is signed by another root', () => signed({}, stranger), /no root that is trusted/],
    ['was changed', () => signed({}).replace(/"bundle":"..../, '"bundle":"AAAA'), /not JSON|no bundle/],
    ['has expired', () => signed({ expires: NOON }), /expired/],
    ['has a lower version', () => signed({}), /version is 5, and 6/, { version: 6 }],
    ['has no root', () => signed({ roots: [] }), /no bundle/],
    [
      'has a root of another name',
      () => signed({ roots: [scene.authority.pem, stranger.authority.pem] }),
      /another name/,
    ],
    ['has too many roots', () => signed({ roots: Array(5).fill(scene.authority.pem) }), /no bundle/],
    ['has text in place of a root', () => signed({ roots: ['hello'] }), /no root/],
    ['has a root that its own key has not signed', () => signed({ roots: [spoilt()] }), /no root/],
    ['has a fraction as its version', () => signed({ version: 1.5 }), /no bundle/],
    [
      'has another fingerprint than was pinned',
      () => signed({}),
      /no root that is trusted/,
      { trusted: '0'.repeat(64) },
    ],
  ])('that %s is refused', (_what, text, detail, change) => {
    expect(() => readTrustBundle(text(), { ...expectation, ...change })).toThrow(
      expect.objectContaining({
        code: 'trust-bundle-invalid',
        message: expect.stringMatching(detail),
      }),
    );
  });

  describe('in the outbox', () => {
    let member: Member;
    let own: Scene;

    beforeEach(async () => {
      own = await made();
      member = await Member.join(own, 'gateway', 'api.example.org');
      expect(member.follow()).toBe(1);
    });

    const offer = (text: string) => writeFileSync(join(own.outbox, 'trust-bundle.json'), text);
    const held = () =>
      ['trust.pem', 'trust-bundle.json'].map((name) => readFileSync(join(member.folder, name)));
    /** Of a number that this one has acknowledged. */
    const bundle = (change: Record<string, unknown>, by = own) => signed({ version: 1, ...change }, by, own);

    it.each<[string, () => string, RegExp]>([
      ['another one of the version that was taken over', () => bundle({}), /another bundle of version 1/],
      ['a version before it', () => bundle({ version: 0 }), /version is 0, and 1 was/],
      ['one that has expired', () => bundle({ version: 2, expires: NOON }), /expired/],
      ['one of another issuer', () => bundle({ version: 2 }, stranger), /no root that is trusted/],
      ['what is no bundle', () => '{}', /no bundle/],
    ])('%s is not taken over, and neither trust nor acknowledgement changes', async (_what, text, detail) => {
      const before = held();
      const acknowledged = own.files().inbox;
      offer(text());
      expect(() => member.follow()).toThrow(
        expect.objectContaining({
          code: 'trust-bundle-invalid',
          message: expect.stringMatching(detail),
        }),
      );
      expect(held()).toEqual(before);
      expect(own.files().inbox).toEqual(acknowledged);
    });

    it('the one that was taken over may be written anew around its bytes, and brings back no root', () => {
      const { bundle, signatures } = JSON.parse(bundleOf(own.outbox));
      // What an operator has changed since by hand, such as a root that was taken out.
      const byHand = `changed by hand\n${member.trust()}`;
      writeFileSync(join(member.folder, 'trust.pem'), byHand);
      const text = JSON.stringify({ signatures, bundle });
      offer(text);
      expect(member.follow()).toBeUndefined();
      expect(held().map(String)).toEqual([byHand, text]);
    });
  });

  it.each<[string, Partial<NameConstraints>]>([
    ['another domain', { dns: ['example.org', 'example.com'] }],
    ['addresses', { ip: ['10.0.0.0/8'] }],
    ['fewer names', { uri: [] }],
  ])('makes no root of the same name that may vouch for %s', async (_what, change) => {
    const dir = join(scratchFolder(), 'issuer');
    const name = scene.authority.certificate.subject.replace(/^CN=/, '');
    const constraints = { dns: ['example.org'], ip: [], uri: ['example.org'], ...change };
    const other = await createAuthority({
      dir,
      name,
      constraints,
      passphrase: PASSPHRASE,
      clock: scene.clock,
    });
    expect(other.certificate.subject).toBe(scene.authority.certificate.subject);
    expect(() => readTrustBundle(signed({ roots: [scene.authority.pem, other.pem] }), expectation)).toThrow(
      expect.objectContaining({
        code: 'trust-bundle-invalid',
        message: expect.stringMatching(/something else than its signer/),
      }),
    );
  });

  it('is signed over its very bytes, for this purpose alone', () => {
    const { bundle, signatures } = JSON.parse(bundleOf(scene.outbox));
    const digest = createHash('sha256').update(Buffer.from(bundle, 'base64')).digest('hex');
    expect(scene.rows().find(({ event }) => event === 'bundle')).toMatchObject({ version: 1, digest });
    expect(signatures).toMatchObject([{ root: scene.authority.fingerprint }]);
    expect(new X509Certificate(scene.authority.pem).publicKey.asymmetricKeyDetails).toMatchObject({
      namedCurve: 'secp384r1',
    });
  });
});
