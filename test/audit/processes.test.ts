/** Processes that append to one record at once, and that are killed while they do. */
import { describe, expect, it } from 'vitest';
import { AuditFile } from '../../src/storage/sqlite/audit-file.ts';
import { StoreProcess } from '../faults/store-process.ts';
import { dataFolder } from '../storage/data-folder.ts';
import { verify } from './record.ts';

async function openProcess(folder: string): Promise<StoreProcess> {
  const child = await StoreProcess.start();
  await child.tell({ kind: 'open', folder });
  return child;
}

function subjectsOf(folder: string): string[] {
  const file = new AuditFile(folder);
  try {
    return [...file.audit.rows()].map(({ subject }) => subject);
  } finally {
    file.close();
  }
}

describe('the audit record', () => {
  it('that two processes append to at once is one unbroken chain, with every row', async () => {
    const folder = dataFolder();
    const writers = [await openProcess(folder), await openProcess(folder)];
    // In rounds, so that each goes on from rows of the other, whoever is quicker to the lock.
    for (let round = 0; round < 15; round++) {
      const append = (child: StoreProcess, i: number) =>
        child.tell({ kind: 'audit', prefix: `p${i}-${round}`, rows: 20 });
      await Promise.all(writers.map(append));
    }
    const subjects = subjectsOf(folder);
    expect(verify(folder)).toMatchObject({ rows: 600, head: { seq: 600 } });
    expect(new Set(subjects).size).toBe(600);
    const turns = subjects.filter((subject, i) => subject.slice(0, 2) !== subjects[i - 1]?.slice(0, 2));
    expect(turns.length).toBeGreaterThan(14);
  });

  it('of processes that are killed at any moment is whole, has every row that was told, and goes on', async () => {
    const folder = dataFolder();
    const told: string[] = [];
    for (let round = 0; round < 6; round++) {
      const child = await openProcess(folder);
      void child.ask({ kind: 'audit', prefix: `r${round}`, rows: 1_000_000 }).catch(() => {});
      await child.told(20 + round * 7);
      await child.kill();
      told.push(...child.lines.map((line) => line.split(' ')[1] as string));
      const { rows, fault } = verify(folder);
      expect(fault).toBeUndefined();
      expect(rows).toBeGreaterThanOrEqual(told.length);
    }
    const kept = new Set(subjectsOf(folder));
    expect(told.filter((subject) => !kept.has(subject))).toEqual([]);
  });
});
