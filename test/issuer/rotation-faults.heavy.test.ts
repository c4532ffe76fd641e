/** A change of the root that is killed at any step on the disk: called again, it goes on, and the bundle is never wrong. */
import type * as Fs from 'node:fs';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { fingerprintOf } from '../../src/client/certificate/request-files.ts';
import { readTrustBundle } from '../../src/client/certificate/trust-bundle.ts';
import { openAuthority } from '../../src/issuer/authority.ts';
import { type Rotation, rotate } from '../../src/issuer/rotation.ts';
import { arm, disarm, met } from './faulty-disk.ts';
import { PASSPHRASE, Scene } from './inbox-scene.ts';

vi.mock('node:fs', async (importOriginal) => {
  const { faultyDisk } = await import('./faulty-disk.ts');
  return faultyDisk(await importOriginal<typeof Fs>());
});
afterEach(disarm);

const HOUR = 3600;

function step({ dir, clock }: Scene): Promise<Rotation> {
  return rotate({ dir, passphrase: PASSPHRASE, clock });
}

/** The lock of a process that is gone goes with it; this one lives on. */
function endProcess(scene: Scene): void {
  disarm();
  rmSync(join(scene.dir, 'lock'), { recursive: true, force: true });
}

async function expectBundle(scene: Scene, roots: (string | undefined)[]): Promise<void> {
  await scene.reopen().pass();
  const text = readFileSync(join(scene.outbox, 'trust-bundle.json'), 'utf8');
  const trusted = [scene.authority.certificate];
  const bundle = readTrustBundle(text, { trusted, version: 0, now: scene.clock.seconds });
  expect(bundle.roots.map(fingerprintOf)).toEqual(roots);
  const versions = scene.rows().filter(({ event }) => event === 'bundle');
  expect(versions.map(({ version }) => version)).toEqual(versions.map((_row, i) => i + 1));
}

/** Kills a call at each of its steps, each time on an issuer that was brought to where it begins. */
async function killEverywhere(
  prepare: (scene: Scene) => Promise<unknown>,
  check: (scene: Scene) => Promise<void>,
): Promise<void> {
  for (let at = 0; ; at++) {
    const scene = await Scene.make();
    await scene.pass();
    await prepare(scene);
    arm('kill', at);
    await step(scene).catch(() => {});
    const hadFault = met() !== undefined;
    endProcess(scene);
    await check(scene);
    if (!hadFault) {
      expect(at).toBeGreaterThan(10);
      return;
    }
  }
}

describe('a change of the root that is killed', () => {
  it('when it begins: one next root is made, and both are in the bundle', async () => {
    await killEverywhere(
      async () => {},
      async (scene) => {
        // Nobody is enrolled, so the next call may already switch.
        const next = async () => (readdirSync(scene.dir).includes('next') ? undefined : step(scene));
        const begun = await next();
        if (begun) expect(begun.done).toBe('begun');
        const [old, made] = [scene.authority.fingerprint, openAuthority(join(scene.dir, 'next'), PASSPHRASE)];
        await expectBundle(scene, [old, made.fingerprint]);
      },
    );
  }, 900_000);

  it('when it switches: the next root issues after one more call at most, and both are in the bundle', async () => {
    let old = '';
    await killEverywhere(
      async (scene) => {
        old = scene.authority.fingerprint;
        await step(scene);
      },
      async (scene) => {
        const names = readdirSync(scene.dir);
        if (names.includes('next')) expect(await step(scene)).toMatchObject({ done: 'switched', other: old });
        const root = openAuthority(scene.dir, PASSPHRASE);
        expect(root.fingerprint).not.toBe(old);
        await expectBundle(scene, [root.fingerprint, old]);
        expect(readdirSync(scene.dir)).toContain('previous');
      },
    );
  }, 900_000);

  it('when it ends: the old root leaves the bundle after one more call at most', async () => {
    await killEverywhere(
      async (scene) => {
        await step(scene);
        await step(scene);
        scene.clock.seconds += 12 * HOUR;
      },
      async (scene) => {
        if (readdirSync(scene.dir).includes('previous')) expect((await step(scene)).done).toBe('ended');
        await expectBundle(scene, [openAuthority(scene.dir, PASSPHRASE).fingerprint]);
      },
    );
  }, 900_000);
});
