/**
 * `countersign doctor` finds what is wrong, and changes nothing.
 */
import { hash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { endAll, serve, temporaryFolder, type Variables } from '../e2e/processes.ts';
import { operator } from './commands.ts';

let folder: string;
let data: string;

beforeEach(() => {
  folder = temporaryFolder();
  data = join(folder, 'data');
});
afterEach(endAll);

interface Finding {
  readonly check: string;
  readonly status: 'ok' | 'warning' | 'failure';
  readonly detail: string;
}

interface Examination {
  readonly code: number | null;
  readonly findings: Finding[];
}

/** Every file of a folder: its name, mode, time of change and content. */
function photograph(at: string): unknown {
  return (
    readdirSync(at, { recursive: true, encoding: 'utf8' })
      // SQLite's index of its journal, which whoever opens it first after a kill makes anew.
      .filter((name) => !name.endsWith('-shm'))
      .concat('.')
      .sort()
      .map((name) => {
        const path = join(at, name);
        const { mode, mtimeMs } = statSync(path);
        return {
          name,
          mode,
          mtimeMs,
          content: statSync(path).isFile() && hash('sha256', readFileSync(path)),
        };
      })
  );
}

/** Runs `doctor --json`, which must leave the whole folder as it is. */
async function examine(given: Variables = {}): Promise<Examination> {
  const before = photograph(folder);
  // Nothing ever answers on port 0.
  const variables = { COUNTERSIGN_PORT: '0', ...given };
  const { code, stdout, stderr } = await operator(data).run(['doctor', '--json'], { variables });
  expect(photograph(folder)).toEqual(before);
  expect(stderr).toBe('');
  return { code, findings: JSON.parse(stdout).findings };
}

/** The findings that aren't well, as `status check`. */
const complaints = ({ findings }: Examination) =>
  findings.filter(({ status }) => status !== 'ok').map(({ status, check }) => `${status} ${check}`);
const detailOf = ({ findings }: Examination, check: string) =>
  findings.find((finding) => finding.check === check && finding.status !== 'ok')?.detail;

/** A data folder that is whole, and that nobody has open. */
async function madeFolder(): Promise<void> {
  await operator(data).json(['consumer', 'add', 'shop']);
}

it('finds nothing wrong where nothing is there yet', async () => {
  const found = await examine();
  expect(found.code).toBe(0);
  expect(complaints(found)).toEqual(['warning permissions', 'warning store', 'warning gateway']);
});

it('finds all well beside a running gateway, and says so to people too', async () => {
  const gateway = await serve(data);
  const variables = { COUNTERSIGN_PORT: String(gateway.port) };
  const { code, stdout, stderr } = await operator(data).run(['doctor'], { variables });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  for (const check of ['configuration', 'permissions', 'disk', 'master key', 'store', 'gateway', 'clock']) {
    expect(stdout).toMatch(new RegExp(`^ok +${check} +\\S`, 'm'));
  }
  expect(stdout).toContain('in the data folder, opens the database\n');
  expect(stdout).not.toMatch(/^(warning|failure)/m);
  expect(stdout).not.toContain(gateway.credentials.secret);
});

it('finds all well but the gateway where it was stopped', async () => {
  const gateway = await serve(data);
  await gateway.child.stop();
  const found = await examine();
  expect(found.code).toBe(0);
  expect(complaints(found)).toEqual(['warning gateway']);
});

it('finds all well but the gateway where it was killed', async () => {
  const gateway = await serve(data);
  gateway.child.kill();
  await gateway.child.ended;
  expect(readdirSync(data)).toContain('countersign.db-wal');
  const found = await examine();
  expect(found.code).toBe(0);
  expect(complaints(found)).toEqual(['warning gateway']);
});

describe('exits with 1 and says what to mend', () => {
  it('where others can read the data folder or what is in it', async () => {
    await madeFolder();
    chmodSync(data, 0o755);
    chmodSync(join(data, 'countersign.db'), 0o640);
    const found = await examine();
    expect(found.code).toBe(1);
    expect(complaints(found)).toEqual(['failure permissions', 'warning gateway']);
    expect(detailOf(found, 'permissions')).toContain(
      `${join(data, 'countersign.db')}; run: chmod -R go= ${data}`,
    );
  });

  it('where others can read the master key', async () => {
    await madeFolder();
    chmodSync(join(data, 'master.key'), 0o644);
    const found = await examine();
    expect(found.code).toBe(1);
    expect(complaints(found)).toEqual(['failure permissions', 'failure master key', 'warning gateway']);
  });

  it('where the master key is missing', async () => {
    await madeFolder();
    renameSync(join(data, 'master.key'), join(folder, 'elsewhere'));
    const found = await examine();
    expect(found.code).toBe(1);
    expect(complaints(found)).toEqual(['failure master key', 'warning gateway']);
    expect(detailOf(found, 'master key')).toContain(join(data, 'master.key'));
  });

  it('where the master key is no key', async () => {
    await madeFolder();
    writeFileSync(join(data, 'master.key'), 'tea\n');
    const found = await examine();
    expect(found.code).toBe(1);
    expect(complaints(found)).toEqual(['failure master key', 'warning gateway']);
  });

  it('where the master key opens another database, unless the right one waits beside it', async () => {
    await madeFolder();
    const file = join(data, 'master.key');
    renameSync(file, join(folder, 'right.key'));
    writeFileSync(file, `${Buffer.alloc(32, 7).toString('base64')}\n`, { mode: 0o600 });
    const found = await examine();
    expect(found.code).toBe(1);
    expect(complaints(found)).toEqual(['failure master key', 'warning gateway']);
    expect(detailOf(found, 'master key')).toContain(`put the right one into ${file}`);
    // As a change of the master key leaves it that is cut off.
    renameSync(join(folder, 'right.key'), `${file}.next`);
    expect(complaints(await examine())).toEqual(['warning gateway']);
  });

  it('where the database is damaged', async () => {
    await madeFolder();
    const file = openSync(join(data, 'countersign.db'), 'r+');
    writeSync(file, Buffer.alloc(8192, 0xff), 0, 8192, 4096);
    closeSync(file);
    const found = await examine();
    expect(found.code).toBe(1);
    expect(complaints(found)).toEqual(['failure store', 'warning gateway']);
  });

  it('where the database is no database', async () => {
    mkdirSync(data, { mode: 0o700 });
    writeFileSync(join(data, 'countersign.db'), 'tea '.repeat(5000), { mode: 0o600 });
    writeFileSync(join(data, 'master.key'), `${Buffer.alloc(32, 7).toString('base64')}\n`, { mode: 0o600 });
    const found = await examine();
    expect(found.code).toBe(1);
    expect(complaints(found)).toEqual(['failure store', 'warning gateway']);
  });

  it('where the configuration is faulty, with every fault', async () => {
    const file = join(folder, 'faulty.yaml');
    writeFileSync(file, 'prot: 80\nlogLevel: loud\n');
    const found = await examine({ COUNTERSIGN_CONFIG: file });
    expect(found.code).toBe(1);
    expect(complaints(found)).toEqual(['failure configuration']);
    expect(detailOf(found, 'configuration')?.split('\n')).toEqual([
      `${file}:1:1 prot: is not a setting; did you mean port?`,
      expect.stringContaining(`${file}:2:11 logLevel: must be one of`),
    ]);
  });
});

describe('config check', () => {
  it('shows the configuration as it will be, with the master key masked', async () => {
    const key = Buffer.alloc(32, 9).toString('base64');
    const variables = { COUNTERSIGN_MASTER_KEY: key, COUNTERSIGN_PORT: '9000' };
    expect(await operator(data).json(['config', 'check'], { variables })).toMatchObject({
      host: '127.0.0.1',
      port: 9000,
      data,
      masterKey: '(set)',
      signatures: { maxLife: 300, skew: 30 },
    });
    const told = await operator(data).run(['config', 'check'], { variables });
    expect(told).toEqual({ code: 0, stdout: 'The configuration is good.\n', stderr: '' });
    expect(existsSync(data)).toBe(false);
  });

  it('exits with 1 and tells every fault with its line and column', async () => {
    const file = join(folder, 'faulty.yaml');
    writeFileSync(file, 'port: 99999\nroutes:\n  - path: orders\n    upstream: tea\n');
    const { code, stdout, stderr } = await operator(data).run([
      'config',
      'check',
      '--json',
      '--config',
      file,
    ]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(JSON.parse(stderr)).toMatchObject({
      code: 'config-invalid',
      errors: [
        { path: 'port', line: 1, column: 7 },
        { path: 'routes[0].role', line: 3, column: 5 },
        { path: 'routes[0].path', line: 3, column: 11 },
        { path: 'routes[0].upstream', line: 4, column: 15 },
      ],
    });
  });
});
