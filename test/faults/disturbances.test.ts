/** What else befalls a gateway under load: a full disk, a lock, a halt, a clock that is set. Nothing is done twice. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { databaseFile } from '../../src/storage/sqlite/database.ts';
import { Scene, type SceneOptions } from './scene.ts';

const TWO_MINUTES = 120_000;

async function startScene(options: Partial<SceneOptions> = {}): Promise<Scene> {
  const scene = await Scene.start({ seed: 7, ...options });
  onTestFinished(() => scene.end());
  return scene;
}

/** Every answer is given again, and every effect that was acknowledged is there once. */
async function expectNothingLost(scene: Scene): Promise<void> {
  await scene.askAgain(10);
  const verdict = await scene.verdict();
  expect(verdict).toMatchObject({ lost: [], doubled: [], wrong: [] });
  expect(verdict.acknowledged).toBeGreaterThan(0);
}

describe('a gateway under the calls of sixteen clients', () => {
  const noLimits = process.platform === 'win32' && 'there is no ulimit here';
  const noPrlimit = !existsSync('/usr/bin/prlimit') && 'there is no /usr/bin/prlimit here';
  if (noLimits || noPrlimit) console.log(`Skipped, since ${noLimits || noPrlimit}: a full disk.`);

  it.skipIf(noLimits || noPrlimit)(
    'that has filled its disk, and gets room again',
    async () => {
      // Blocks of 512 bytes.
      const scene = await startScene({ limit: 'ulimit -S -f 3000' });
      const rest = scene.load();
      await scene.missed(60, 'store-unavailable');
      const { pid } = scene.gateway.process;
      execFileSync('/usr/bin/prlimit', ['--pid', String(pid), '--fsize=unlimited']);
      await scene.answered(100);
      await rest();
      await expectNothingLost(scene);
    },
    TWO_MINUTES,
  );

  it.skipIf(noLimits)(
    'that has filled its disk, and is killed',
    async () => {
      const scene = await startScene({ limit: 'ulimit -S -f 3000' });
      const rest = scene.load();
      await scene.missed(60, 'store-unavailable');
      await scene.gateway.kill();
      const rested = rest();
      await scene.reopen();
      await rested;
      await expectNothingLost(scene);
    },
    TWO_MINUTES,
  );

  it(
    'whose database another process has locked for a while',
    async () => {
      const scene = await startScene();
      const rest = scene.load();
      await scene.answered(50);
      const rival = new Sqlite(databaseFile(scene.folder), { timeout: 5000 });
      onTestFinished(() => void rival.close());
      rival.exec('BEGIN IMMEDIATE');
      await scene.missed(40, 'store-unavailable');
      rival.exec('ROLLBACK');
      await scene.answered(50);
      await rest();
      await expectNothingLost(scene);
    },
    TWO_MINUTES,
  );

  it(
    'that stands still until the clients have lost their patience, and goes on then',
    async () => {
      const scene = await startScene({ patience: 1000 });
      for (let time = 0; time < 3; time++) {
        const rest = scene.load();
        await scene.answered(30);
        scene.gateway.process.kill('SIGSTOP');
        await scene.missed(32, 'timeout');
        scene.gateway.process.kill('SIGCONT');
        await scene.answered(30);
        await rest();
      }
      await expectNothingLost(scene);
    },
    TWO_MINUTES,
  );

  it(
    'whose clock steps forth and back, and which purges in between',
    async () => {
      const scene = await startScene({ clockSteps: true });
      const rest = scene.load();
      // Behind the purge of the third step, what expires before its horizon is refused until the clock has passed it.
      for (const seconds of [20, -20, 600, 0, 1200]) {
        await scene.answered(40);
        await scene.gateway.tell({ kind: 'clock', offset: seconds * 1000 });
        await scene.answered(40);
        await scene.gateway.tell({ kind: 'purge' });
      }
      await scene.answered(40);
      await rest();
      await expectNothingLost(scene);
    },
    TWO_MINUTES,
  );
});
