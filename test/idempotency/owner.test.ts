import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readlinkSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Owner } from '../../src/idempotency/owner.ts';
import { readBootId } from '../../src/replay/fence.ts';

describe('an attempt', () => {
  it('of this gateway may run until it is said to have ended', async () => {
    const owner = new Owner();
    const [one, other] = [owner.begin(), owner.begin()];
    expect([one, other].map((name) => owner.mayRun(name))).toEqual([true, true]);
    owner.end(one);
    expect([one, other].map((name) => owner.mayRun(name))).toEqual([false, true]);
    let idle = false;
    const waited = owner.idle().then(() => {
      idle = true;
    });
    await Promise.resolve();
    expect(idle).toBe(false);
    owner.end(other);
    await waited;
    await owner.idle();
  });

  it('of another gateway in this process may run for all that can be told', () => {
    const name = new Owner().begin();
    expect(new Owner().mayRun(name)).toBe(true);
  });

  it.runIf(process.platform === 'linux')('of another process may run while that process lives', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    await once(child, 'spawn');
    const owner = new Owner();
    const nameOf = (started: string, boot = readBootId(), namespace = readlinkSync('/proc/self/ns/pid')) =>
      [boot, namespace, child.pid, started, 'x', 1].join(' ');
    const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8');
    const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] as string;
    expect(owner.mayRun(nameOf(started))).toBe(true);
    expect(owner.mayRun(nameOf(`${Number(started) - 1}`))).toBe(false);
    expect(owner.mayRun(nameOf(started, 'another-boot'))).toBe(false);
    child.kill('SIGKILL');
    await once(child, 'close');
    expect(owner.mayRun(nameOf(started))).toBe(false);
    // In another container, perhaps: its process ids say nothing here.
    expect(owner.mayRun(nameOf(started, readBootId(), 'pid:[1]'))).toBe(true);
  });
});
