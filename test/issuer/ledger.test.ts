/** The ledger: a chain of rows that shows every change, survives a cut, and knows what time it was. */
import { createHash } from 'node:crypto';
import { appendFileSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Ledger, LONGEST_SILENCE } from '../../src/issuer/ledger.ts';
import { ManualClock } from '../storage/manual-clock.ts';
import { refusal } from './refusal.ts';
import { scratchFolder } from './scratch-root.ts';

interface Scene {
  readonly dir: string;
  readonly file: string;
  readonly clock: ManualClock;
}

/** A ledger of three rows, a second apart. */
function three(): Scene {
  const dir = scratchFolder();
  const clock = new ManualClock();
  const ledger = new Ledger(dir);
  for (const event of ['root', 'issue', 'issue']) {
    ledger.append({ event, text: 'ä\u2028"hash":"' }, clock);
    clock.seconds += 1;
  }
  return { dir, file: join(dir, 'ledger.jsonl'), clock };
}

describe('the ledger', () => {
  it('is empty where there is no file, and only its owner can read the file that it makes', () => {
    const dir = scratchFolder();
    const ledger = new Ledger(dir);
    expect([ledger.last, [...ledger.rows()]]).toEqual([undefined, []]);
    ledger.append({ event: 'root' }, new ManualClock());
    expect(statSync(join(dir, 'ledger.jsonl')).mode & 0o777).toBe(0o600);
  });

  it.each([
    ['gone', (file: string) => rmSync(file)],
    ['empty', (file: string) => truncateSync(file)],
    ['cut off within its first row', (file: string) => truncateSync(file, 40)],
  ])('is not begun anew where it is %s and the root beside it is not', async (_what, damage) => {
    const { dir, file } = three();
    writeFileSync(join(dir, 'root.pem'), '');
    damage(file);
    expect(await refusal(() => new Ledger(dir))).toMatchObject({
      code: 'ledger-broken',
      detail: expect.stringContaining('put it back'),
    });
  });

  it('gives back what was appended, in order, each row bound to the one before', () => {
    const { dir } = three();
    const ledger = new Ledger(dir);
    const rows = [...ledger.rows()];
    expect(rows.map(({ seq, event, text }) => [seq, event, text])).toEqual([
      [1, 'root', 'ä\u2028"hash":"'],
      [2, 'issue', 'ä\u2028"hash":"'],
      [3, 'issue', 'ä\u2028"hash":"'],
    ]);
    expect(rows.map(({ prev }) => prev)).toEqual(['0'.repeat(64), rows[0]?.hash, rows[1]?.hash]);
    expect(ledger.last).toEqual(rows[2]);
  });

  it('shows a change of any byte of any row', () => {
    const { dir, file } = three();
    const whole = readFileSync(file);
    fc.assert(
      fc.property(fc.nat(whole.length - 2), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(whole);
        changed[at] = (changed[at] ?? 0) ^ flip;
        writeFileSync(file, changed);
        expect(() => new Ledger(dir)).toThrow(/broken at row/);
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ['left out', (lines: string[]) => lines.splice(1, 1), 2],
    ['put in twice', (lines: string[]) => lines.splice(1, 0, lines[1] ?? ''), 3],
    ['in another order', (lines: string[]) => lines.reverse(), 1],
    ['left out at the beginning', (lines: string[]) => lines.shift(), 1],
    ['empty', (lines: string[]) => lines.splice(1, 0, ''), 2],
  ])('shows a row that was %s', async (_what, change, row) => {
    const { dir, file } = three();
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    change(lines);
    writeFileSync(file, `${lines.join('\n')}\n`);
    const { code, detail } = await refusal(() => new Ledger(dir));
    expect([code, detail]).toEqual(['ledger-broken', expect.stringContaining(`at row ${row}:`)]);
  });

  it.each([
    ['otherwise', 1, { text: 'forged' }, /at row 3: it does not follow/],
    ['under another number', 2, { seq: 4 }, /at row 3: it does not follow/],
    ['at an earlier time', 2, { at: 0 }, /at row 3: its time runs backward/],
  ])('shows a row that was written anew %s, with a hash of its own', async (_how, index, change, fault) => {
    const { dir, file } = three();
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    const { hash: _, ...row } = JSON.parse(lines[index] ?? '');
    const body = JSON.stringify({ ...row, ...change });
    const hash = createHash('sha256').update(body).digest('hex');
    lines[index] = `${body.slice(0, -1)},"hash":"${hash}"}`;
    writeFileSync(file, `${lines.join('\n')}\n`);
    const { code, detail } = await refusal(() => new Ledger(dir));
    expect([code, detail]).toEqual(['ledger-broken', expect.stringMatching(fault)]);
  });

  it('goes on after a row that a power loss cut off anywhere', () => {
    const { dir, file, clock } = three();
    const whole = readFileSync(file);
    const second = whole.indexOf(10, whole.indexOf(10) + 1) + 1;
    for (let length = second; length < whole.length; length += 13) {
      writeFileSync(file, whole);
      truncateSync(file, length);
      const ledger = new Ledger(dir);
      expect(ledger.last?.seq).toBe(2);
      ledger.append({ event: 'issue', again: true }, clock);
      expect([...new Ledger(dir).rows()].map(({ seq }) => seq)).toEqual([1, 2, 3]);
    }
  });

  it('appends nothing where another process has', async () => {
    const { dir, clock } = three();
    const [first, second] = [new Ledger(dir), new Ledger(dir)];
    first.append({ event: 'issue' }, clock);
    expect(await refusal(() => second.append({ event: 'issue' }, clock))).toMatchObject({
      code: 'issuer-busy',
    });
    expect([...new Ledger(dir).rows()]).toHaveLength(4);
  });

  it('is not read on where it has a line without an end', async () => {
    const { dir, file } = three();
    appendFileSync(file, Buffer.alloc(2 * 1024 * 1024, 'x'));
    expect(await refusal(() => new Ledger(dir))).toMatchObject({ code: 'ledger-broken' });
  });

  it('takes no event that would write its own place', () => {
    const { dir, clock } = three();
    for (const member of ['seq', 'at', 'prev', 'hash']) {
      expect(() => new Ledger(dir).append({ event: 'issue', [member]: 1 }, clock)).toThrow(TypeError);
    }
  });
});

describe('the clock', () => {
  const at = (step: number) => {
    const { dir, clock } = three();
    const newest = clock.seconds - 1;
    return { ledger: new Ledger(dir), clock: new ManualClock(newest + step) };
  };

  it.each([0, 1, LONGEST_SILENCE])('is believed %s s after the newest row', (step) => {
    const { ledger, clock } = at(step);
    expect(() => ledger.checkClock(clock)).not.toThrow();
  });

  it.each([LONGEST_SILENCE + 1, 10 ** 8])(
    "is believed %s s after it only at somebody's word",
    async (step) => {
      const { ledger, clock } = at(step);
      const { code, detail } = await refusal(() => ledger.checkClock(clock));
      expect([code, detail]).toEqual(['clock-untrusted', expect.stringContaining('--accept-clock')]);
      expect(() => ledger.checkClock(clock, true)).not.toThrow();
    },
  );

  it.each([-1, -(10 ** 6)])('is never believed %s s from it', async (step) => {
    const { ledger, clock } = at(step);
    expect(await refusal(() => ledger.checkClock(clock))).toMatchObject({ code: 'clock-untrusted' });
    expect(await refusal(() => ledger.checkClock(clock, true))).toMatchObject({ code: 'clock-untrusted' });
    expect(await refusal(() => ledger.append({ event: 'issue' }, clock))).toMatchObject({
      code: 'clock-untrusted',
    });
    expect([...ledger.rows()]).toHaveLength(3);
  });
});
