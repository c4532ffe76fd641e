/** Who may ask: enrolment at the operator's hand, which lapses, and a name that has one key. */
import { generateKeyPairSync } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LONGEST_SILENCE } from '../../src/issuer/ledger.ts';
import { Lock, lockOf } from '../../src/issuer/lock.ts';
import { APPROVAL_SECONDS, enrol, findRequester, requesterNames } from '../../src/issuer/requesters.ts';
import { NOON, Requester, Scene } from './inbox-scene.ts';

const pem = (type: 'ed25519' | 'x25519') =>
  generateKeyPairSync(type as 'ed25519')
    .publicKey.export({ type: 'spki', format: 'pem' })
    .toString();

async function tryEnrol(scene: Scene, name: string, publicKey: string) {
  return enrol({ folder: scene.dir, name, publicKey, replace: false, clock: scene.clock });
}

describe('a requester', () => {
  it('is enrolled for 30 days, with its public key alone, in a file of its own and in the ledger', async () => {
    const scene = await Scene.make();
    const gateway = new Requester(scene, 'gateway');
    const { change, requester } = await gateway.enrol();
    expect(change).toBe('enrolled');
    expect(requester).toMatchObject({ name: 'gateway', approved: NOON, lapses: NOON + APPROVAL_SECONDS });
    const file = join(scene.dir, 'requesters', 'gateway.json');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).not.toMatch(/PRIVATE/);
    expect(scene.rows().at(-1)).toMatchObject({
      event: 'enrol',
      requester: 'gateway',
      requestKey: requester.fingerprint,
      change: 'enrolled',
    });
    expect(requesterNames(scene.dir)).toEqual(['gateway']);
  });

  it('is renewed by being enrolled again', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    scene.clock.seconds += 3600;
    expect(await gateway.enrol()).toMatchObject({
      change: 'renewed',
      requester: { lapses: NOON + 3600 + APPROVAL_SECONDS },
    });
  });

  it('keeps its key against another one, unless the operator means it or the approval has lapsed', async () => {
    const scene = await Scene.make();
    const first = await scene.requester('gateway');
    const second = new Requester(scene, 'gateway');
    await expect(second.enrol()).rejects.toMatchObject({
      code: 'requester-unknown',
      message: expect.stringMatching(/has another request key/),
    });
    const kept = findRequester(scene.dir, 'gateway').fingerprint;
    expect(await second.enrol({ replace: true })).toMatchObject({ change: 'replaced' });
    expect(findRequester(scene.dir, 'gateway').fingerprint).not.toBe(kept);
    scene.clock.seconds += APPROVAL_SECONDS;
    expect(await first.enrol({ acceptClock: true })).toMatchObject({ change: 'replaced' });
  });

  it.each([-1, LONGEST_SILENCE + 1])("isn't enrolled by a clock %s s from the ledger", async (step) => {
    const scene = await Scene.make();
    scene.clock.seconds += step;
    await expect(scene.requester('gateway')).rejects.toMatchObject({ code: 'clock-untrusted' });
    expect(requesterNames(scene.dir)).toEqual([]);
  });

  it('is enrolled once nobody else is at the ledger', async () => {
    const scene = await Scene.make();
    const lock = await Lock.acquire(lockOf(scene.dir));
    const enrolled = scene.requester('gateway');
    // As far as it gets without the lock.
    await new Promise(setImmediate);
    expect(requesterNames(scene.dir)).toEqual([]);
    lock.release();
    await enrolled;
    expect(requesterNames(scene.dir)).toEqual(['gateway']);
  });

  it.each([
    [
      'a private key',
      () => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      /private key/,
    ],
    ['a key of another type', () => pem('x25519'), /Ed25519/],
    ['no key', () => 'hello', /no public key/],
  ])('is refused with %s', async (_what, key, detail) => {
    const scene = await Scene.make();
    await expect(tryEnrol(scene, 'gateway', key())).rejects.toMatchObject({
      code: 'requester-unknown',
      message: expect.stringMatching(detail),
    });
    expect(readdirSync(scene.dir)).not.toContain('requesters');
  });

  it.each(['', '..', '../root', 'Gateway', 'a b', 'gateway\n', '-x', 'x'.repeat(65)])(
    'is refused under the name %j',
    async (name) => {
      const scene = await Scene.make();
      await expect(tryEnrol(scene, name, pem('ed25519'))).rejects.toMatchObject({
        code: 'requester-unknown',
      });
    },
  );

  it.each([
    ['is no JSON', '{'],
    ['has another shape', '{}'],
    ['is that of another', 'other'],
    ['has a key that is none', 'unkeyed'],
  ])('whose record %s is not believed', async (_what, content) => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const file = join(scene.dir, 'requesters', 'gateway.json');
    const record = JSON.parse(readFileSync(file, 'utf8'));
    if (content === 'other') writeFileSync(file, JSON.stringify({ ...record, name: 'shop' }));
    else if (content === 'unkeyed') writeFileSync(file, JSON.stringify({ ...record, key: 'x' }));
    else writeFileSync(file, content);
    expect(() => findRequester(scene.dir, gateway.name)).toThrow(
      expect.objectContaining({ code: 'authority-invalid' }),
    );
  });
});
