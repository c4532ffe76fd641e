/** Counts are kept by a kill, and shared by processes. */
import { expect, it } from 'vitest';
import type { Quota } from '../../src/limits/quotas.ts';
import { StoreProcess } from '../faults/store-process.ts';
import { dataFolder } from '../storage/data-folder.ts';

const hour: Quota = { name: 'hour', counter: 'hour shop', calls: 1000, period: 3600_000, refill: 'window' };

it('forgets no call that was let through where the process is killed', async () => {
  const folder = dataFolder();
  const first = await StoreProcess.start();
  await first.tell({ kind: 'open', folder });
  // Killed on the way: nobody waits for the end of it.
  first.ask({ kind: 'charge', quotas: [hour], times: 900 }).catch(() => {});
  await first.told(200);
  await first.kill();
  const told = first.lines.length;

  const second = await StoreProcess.start();
  await second.tell({ kind: 'open', folder });
  const paid = (await second.tell({ kind: 'charge', quotas: [hour], times: 1100 })) as number;
  expect(told + paid).toBeLessThanOrEqual(1000);
  // What was counted and not told any more are the calls of one turn.
  expect(told + paid).toBeGreaterThanOrEqual(990);
});

it('lets no call more through where two processes charge at once', async () => {
  const folder = dataFolder();
  const processes = await Promise.all([StoreProcess.start(), StoreProcess.start()]);
  for (const each of processes) await each.tell({ kind: 'open', folder });
  const paid = await Promise.all(
    processes.map((each) => each.tell({ kind: 'charge', quotas: [hour], times: 800 })),
  );
  expect((paid as number[]).reduce((sum, each) => sum + each)).toBe(1000);
});
