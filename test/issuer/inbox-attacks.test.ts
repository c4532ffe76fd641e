/** What somebody who can only write to the inbox, or holds one request key, can't do to the others. */
import fs, { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { stageFile } from '../../src/issuer/plain-file.ts';
import { partsOf, Requester, Scene } from './inbox-scene.ts';

describe('a request in another name, that nobody has signed', () => {
  it('makes no real request wait, also where it can be neither answered nor refused', async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const forged = gateway.ask({ id: 'forged', document: { sequence: 0 }, sig: 'AAAA' });
    const real = gateway.ask();
    // Where a refusal belongs there is a link, which is followed nowhere: the refusal must wait.
    symlinkSync(scene.outbox, join(scene.inbox, 'rejected'));
    const { outcomes } = await scene.pass();
    expect(outcomes).toMatchObject([
      { outcome: 'postponed', id: forged },
      { outcome: 'issued', id: real },
    ]);
  });
});

it('a request key that got into the folder by another way than the operator counts for nothing', async () => {
  const scene = await Scene.make();
  const gateway = await scene.requester('gateway');
  const thief = new Requester(scene, 'gateway');
  const file = join(scene.dir, 'requesters', 'gateway.json');
  const record = JSON.parse(readFileSync(file, 'utf8'));
  // Moved there through "rejected", say, by who could put a link in its place in the midst of a pass.
  for (const change of [{ key: thief.publicKey }, { approved: record.approved + 1 }]) {
    writeFileSync(file, JSON.stringify({ ...record, ...change }));
    (change.key ? thief : gateway).ask({ id: 'stolen' });
    expect((await scene.pass()).outcomes).toMatchObject([{ outcome: 'postponed', id: 'stolen' }]);
  }
  writeFileSync(file, JSON.stringify(record));
  gateway.ask({ id: 'stolen' });
  expect((await scene.pass()).outcomes).toMatchObject([{ outcome: 'issued', id: 'stolen' }]);
});

describe('an id', () => {
  it("can't put its files in the place of the reason for another's refusal", async () => {
    const scene = await Scene.make();
    const gateway = await scene.requester('gateway');
    const refused = gateway.ask({ names: { dns: ['www.example.org'] } });
    await scene.pass();
    const reason = scene.reason(refused);
    for (const part of partsOf(`${refused}.reason`)) writeFileSync(join(scene.inbox, part), '{}');
    expect((await scene.pass()).outcomes).toMatchObject([{ outcome: 'rejected' }]);
    expect(scene.reason(refused)).toEqual(reason);
  });

  it("can't take the place of another's chain on a disk that doesn't tell capitals from small letters", async () => {
    const scene = await Scene.make();
    const [gateway, shop] = [await scene.requester('gateway'), await scene.requester('shop')];
    gateway.ask({ id: 'chain' });
    await scene.pass();
    shop.ask({ id: 'CHAIN' });
    expect((await scene.pass()).outcomes).toMatchObject([
      { outcome: 'rejected', detail: 'A request of gateway had the id CHAIN.' },
    ]);
  });
});

it('a folder that is put in the place of a file of an answered request is cleared away', async () => {
  const scene = await Scene.make();
  const gateway = await scene.requester('gateway');
  const id = gateway.ask();
  const { outcomes } = await scene.pass({
    onOutcome: () => {
      // Between the reading and the clearing.
      const [csr = ''] = partsOf(id);
      const file = join(scene.inbox, csr);
      rmSync(file);
      mkdirSync(join(file, 'folder'), { recursive: true });
    },
  });
  expect(outcomes).toMatchObject([{ outcome: 'issued', id }]);
  expect(scene.files()).toMatchObject({ inbox: [], outbox: [`${id}.pem`] });
});

it('a link that is put in the place of a draft, at the very moment in which that was removed, leads nowhere', async () => {
  const { outbox } = await Scene.make();
  const precious = join(outbox, 'precious');
  writeFileSync(precious, 'before');
  vi.spyOn(fs, 'rmSync').mockImplementationOnce((path) => symlinkSync(precious, path));
  syncBuiltinESMExports();
  onTestFinished(() => {
    vi.restoreAllMocks();
    syncBuiltinESMExports();
  });
  expect(() => stageFile(outbox, 'chain.pem', 'ours')).toThrow(expect.objectContaining({ code: 'EEXIST' }));
  expect(readFileSync(precious, 'utf8')).toBe('before');
});
