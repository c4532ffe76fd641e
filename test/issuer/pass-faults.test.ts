/**
 * A pass that is killed between any two steps on the disk, and one whose disk is full at any of them. A kill is a file
 * system that does nothing more for the process, whatever its clean-up would like.
 */
import { X509Certificate } from 'node:crypto';
import type * as Fs from 'node:fs';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { fingerprintOf } from '../../src/issuer/certificate.ts';
import { arm, disarm, met as metStep } from './faulty-disk.ts';
import { partsOf, Scene } from './inbox-scene.ts';

vi.mock('node:fs', async (importOriginal) => {
  const { faultyDisk } = await import('./faulty-disk.ts');
  return faultyDisk(await importOriginal<typeof Fs>());
});

afterEach(disarm);

/** Requests of each kind: two that may be answered, and refused ones that are theirs, nobody's, and without a name. */
async function prepare(): Promise<{ scene: Scene; good: string[]; refused: string; forged: string }> {
  const scene = await Scene.make();
  const gateway = await scene.requester('gateway');
  const shop = await scene.requester('shop');
  const good = [gateway.ask(), shop.ask()];
  const refused = gateway.ask({ names: { dns: ['www.example.org'] } });
  const forged = gateway.ask({ id: 'forged', signer: shop.key });
  writeFileSync(join(scene.inbox, 'no name.sig'), '');
  return { scene, good, refused, forged };
}

/** What must hold at any moment, also while nobody runs. */
function expectNothingHalf(scene: Scene): void {
  const { outbox, rejected } = scene.files();
  const issued = new Set(scene.rows().map(({ fingerprint }) => fingerprint));
  for (const name of outbox.filter((each) => !each.startsWith('.'))) {
    const leaf = new X509Certificate(readFileSync(join(scene.outbox, name)));
    expect(issued).toContain(fingerprintOf(leaf));
  }
  for (const name of rejected.filter((each) => each.endsWith('.csr'))) {
    expect(rejected).toContain(name.replace('.csr', '.reason.json'));
  }
}

/** Who lives on takes back what won't be issued: a draft is of a leaf that the ledger knows. */
function expectNoStrayDraft(scene: Scene): void {
  const issued = scene.rows().filter(({ event }) => event === 'issue');
  const drafts = readdirSync(scene.outbox).filter((name) => name.endsWith('.pem.partial'));
  expect(issued.map(({ id }) => `.${id}.pem.partial`)).toEqual(expect.arrayContaining(drafts));
}

function expectAllDone(scene: Scene, { good, refused, forged }: Awaited<ReturnType<typeof prepare>>): void {
  const { inbox, rejected, outbox } = scene.files();
  expect(inbox).toEqual([]);
  expect(outbox).toEqual(good.map((id) => `${id}.pem`).sort());
  const rows = scene.rows();
  for (const id of good) {
    const own = rows.filter((row) => row.event === 'issue' && row.id === id);
    const leaf = new X509Certificate(readFileSync(join(scene.outbox, `${id}.pem`)));
    expect(own.map(({ fingerprint }) => fingerprint)).toEqual([fingerprintOf(leaf)]);
  }
  const whole = [refused, forged].flatMap((id) => [...partsOf(id), `${id}.reason.json`]);
  expect(rejected.filter((name) => !name.startsWith('unnamed-'))).toEqual(whole.sort());
  expect(rejected.filter((name) => name.startsWith('unnamed-')).length).toBe(2);
  expect(scene.reason(refused).detail).toMatch(/doesn't grant the name www/);
  expect(scene.reason(forged).detail).toMatch(/not made over/);
  expect(rows.filter(({ event }) => event === 'reject')).toMatchObject([{ id: refused }]);
}

/** The lock of a process that is gone goes with it; this one lives on. */
function endProcess(scene: Scene): void {
  disarm();
  rmSync(join(scene.dir, 'lock'), { recursive: true, force: true });
}

describe('a pass that is killed', () => {
  it.each(['kill', 'kill-half-way'] as const)(
    'between any two steps (%s) leaves nothing half, and the next one ends what it began',
    async (fault) => {
      const met = new Set<string>();
      for (let step = 0; ; step++) {
        const prepared = await prepare();
        const { scene } = prepared;
        arm(fault, step);
        await scene.pass().catch(() => {});
        const wasMet = metStep();
        endProcess(scene);
        expectNothingHalf(scene);
        await scene.pass();
        expectAllDone(scene, prepared);
        if (wasMet === undefined) {
          expect(step).toBeGreaterThan(fault === 'kill' ? 60 : 8);
          break;
        }
        met.add(wasMet);
      }
      const writes = ['writeFileSync', 'writeSync'];
      const all = [...writes, 'openSync', 'fsyncSync', 'renameSync', 'rmSync'];
      expect([...met]).toEqual(expect.arrayContaining(fault === 'kill' ? all : writes));
    },
    300_000,
  );

  it('twice, at any two steps, is no worse', async () => {
    // 13 and 7 have no factor in common with the steps of one request, so all pairs of kinds are met.
    for (let turn = 0; turn < 12; turn++) {
      const prepared = await prepare();
      const { scene } = prepared;
      for (const step of [(turn * 13) % 61, (turn * 7) % 43]) {
        arm('kill', step);
        await scene.pass().catch(() => {});
        endProcess(scene);
        expectNothingHalf(scene);
      }
      await scene.pass();
      expectAllDone(scene, prepared);
    }
  }, 300_000);
});

describe('a pass whose disk is full', () => {
  it.each(['full', 'full-half-way'] as const)(
    'at any step (%s) leaves nothing half, and the next one does the rest',
    async (fault) => {
      for (let step = 0; ; step++) {
        const prepared = await prepare();
        const { scene } = prepared;
        arm(fault, step);
        await scene.pass().catch((error) => {
          expect(error).toMatchObject({ code: expect.stringMatching(/^(ledger-broken|ENOSPC)$/) });
        });
        const wasMet = metStep();
        disarm();
        expectNothingHalf(scene);
        expectNoStrayDraft(scene);
        await scene.pass();
        expectAllDone(scene, prepared);
        if (wasMet === undefined) break;
      }
    },
    300_000,
  );
});
