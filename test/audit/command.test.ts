/** `countersign audit` as operators use it, beside a gateway that runs. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failure, type Operator, operator } from '../cli/commands.ts';
import { endAll, type GatewayProcess, serve, temporaryFolder } from '../e2e/processes.ts';
import { problem, send, sendBytes, sign } from '../gateway/wire.ts';
import { filesOf } from '../storage/data-folder.ts';
import { attack } from './record.ts';

interface Row {
  readonly seq: number;
  readonly at: string;
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly keyid?: string;
  readonly requestId?: string;
  readonly detail?: { readonly code?: string; readonly counts?: object };
}

let data: string;
let admin: Operator;
let log: string;
let shop: { keyid: string; secret: string };

/** A gateway that refuses some calls, is looked at while it runs, and is stopped. */
let whileRunning: { rows: Row[]; shops: Row[]; whole: { rows: number } };
let requestIds: string[];
const BEGAN = Date.now();

async function refuse(gateway: GatewayProcess, key: typeof shop, target: string): Promise<string> {
  const answer = await send(gateway, sign(gateway, key, { target }));
  expect(problem(answer).code).toBe('not-found');
  return answer.headers.get('countersign-request-id') as string;
}

beforeAll(async () => {
  data = join(temporaryFolder(), 'data');
  admin = operator(data);
  shop = await admin.json(['consumer', 'add', 'shop']);
  const gateway = await serve(data);
  requestIds = [await refuse(gateway, shop, '/one'), await refuse(gateway, shop, '/two')];
  const tea = await admin.json<typeof shop>(['consumer', 'add', 'tea']);
  await refuse(gateway, tea, '/three');
  await sendBytes(gateway.port, `GET /v1/whoami HTTP/1.1\r\nHost: 127.0.0.1:${gateway.port}\r\n\r\n`);
  whileRunning = {
    rows: await admin.json(['audit', 'list']),
    shops: await admin.json(['audit', 'list', '--keyid', shop.keyid]),
    whole: await admin.json(['audit', 'verify']),
  };
  const { stdout } = await gateway.child.stop();
  log = join(data, '..', 'gateway.log');
  // As a journal writes it: with words before the line.
  writeFileSync(log, stdout.replace(/^/gm, 'Nov 22 12:00:00 host countersign[1]: '));
});
afterAll(endAll);

const refusals = (rows: readonly Row[]) => rows.filter(({ action }) => action === 'call.refused');

describe('while the gateway runs', () => {
  it('audit list answers what a key did', () => {
    expect(refusals(whileRunning.shops)).toEqual(
      requestIds.map((requestId) =>
        expect.objectContaining({
          actor: expect.stringMatching(/^[0-9a-f]{24}$/),
          action: 'call.refused',
          subject: 'not-found',
          keyid: shop.keyid,
          requestId,
          detail: { code: 'not-found' },
        }),
      ),
    );
  });

  it('audit list has the rows of all keys in their order, with their times', () => {
    expect(refusals(whileRunning.rows)).toHaveLength(3);
    const seqs = whileRunning.rows.map(({ seq }) => seq);
    expect(seqs).toEqual(seqs.map((_, i) => (seqs[0] as number) + i));
    for (const { at } of whileRunning.rows) {
      // Whole seconds.
      expect(Date.parse(at)).toBeGreaterThan(BEGAN - 1000);
      expect(Date.parse(at)).toBeLessThanOrEqual(Date.now());
    }
  });

  it('audit verify finds the chain whole', () => {
    // The gateway may write its minute's row between the two commands.
    expect([0, 1]).toContain(whileRunning.whole.rows - (whileRunning.rows.at(-1)?.seq ?? 0));
  });
});

describe('audit list', () => {
  it('shows a table, of so many of the newest rows as are asked for', async () => {
    const { stdout, code } = await admin.run(['audit', 'list', '--limit', '2']);
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(/^SEQ +AT +ACTOR +ACTION +SUBJECT +KEYID +REQUEST +DETAIL$/);
    expect(lines[2]).toMatch(/calls\.unverified +gateway .*"signature-missing":1/);
  });

  it('knows since when', async () => {
    const all = await admin.json<Row[]>(['audit', 'list']);
    expect(await admin.json(['audit', 'list', '--since', '24h'])).toEqual(all);
    expect(await admin.json(['audit', 'list', '--since', '2026-01-01'])).toEqual(all);
    expect(await admin.json(['audit', 'list', '--since', '2099-01-01T00:00:00Z'])).toEqual([]);
    expect(await admin.json(['audit', 'list', '--keyid', 'nobody.x'])).toEqual([]);
  });

  it('needs no master key, and neither it nor the others make a file or change one', async () => {
    const folder = join(temporaryFolder(), 'copy');
    const owner = operator(folder);
    await owner.json(['consumer', 'add', 'shop']);
    rmSync(join(folder, 'master.key'));
    const before = filesOf(folder);
    await owner.json(['audit', 'list']);
    await owner.run(['audit', 'export']);
    expect(failure(await owner.run(['audit', 'verify', '--json'])).code).toBe('master-key-missing');
    expect(filesOf(folder)).toEqual(before);
  });

  it('makes no database where there is none', async () => {
    const folder = join(temporaryFolder(), 'none');
    for (const verb of ['list', 'verify', 'export']) {
      expect(failure(await operator(folder).run(['audit', verb, '--json'])).code).toBe('store-failed');
    }
    expect(existsSync(folder)).toBe(false);
  });
});

describe('audit export', () => {
  it('writes every row as a line of JSON, with its MAC', async () => {
    const { stdout, code } = await admin.run(['audit', 'export']);
    expect(code).toBe(0);
    const rows = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(rows).toEqual(await admin.json(['audit', 'list', '--limit', '1000000']));
    for (const { mac, keyVersion } of rows) {
      expect(Buffer.from(mac, 'base64')).toHaveLength(32);
      expect(keyVersion).toBe(1);
    }
    expect((await admin.run(['audit', 'export', '--since', '2099-01-01'])).stdout).toBe('');
  });
});

describe('audit verify', () => {
  it('goes through the heads of the log, and says what the last row is', async () => {
    const whole = await admin.json<{ rows: number; head: { seq: number; mac: string }; heads: number }>([
      'audit',
      'verify',
      '--head-file',
      log,
    ]);
    expect(whole).toMatchObject({ rows: whole.head.seq, heads: 1 });
    const { stdout } = await admin.run(['audit', 'verify', '--head', `${whole.head.seq}:${whole.head.mac}`]);
    expect(stdout).toBe(
      `Whole: ${whole.rows} rows, of which the last is ${whole.head.seq}:${whole.head.mac}.\n`,
    );
  });

  it('reads a log from standard input', async () => {
    const input = readFileSync(log, 'utf8');
    expect(await admin.json(['audit', 'verify', '--head-file', '-'], { input })).toMatchObject({ heads: 1 });
  });

  it('says that a head is needed to find a tail that was cut off', async () => {
    expect((await admin.run(['audit', 'verify'])).stdout).toContain('--head-file');
  });

  it.each([
    ['a log without one', ['--head-file', import.meta.filename], 1],
    ['a log that is not there', ['--head-file', '/nowhere/gateway.log'], 1],
    ['a head that is none', ['--head', '17'], 2],
    ['a time that is none', ['--since', 'soon'], 2],
  ])('refuses %s', async (_what, args, code) => {
    const outcome = await admin.run(['audit', args[0] === '--since' ? 'list' : 'verify', ...args]);
    expect(outcome).toMatchObject({ code, stdout: '' });
    expect(outcome.stderr).not.toContain('    at ');
  });

  describe('of a record that was tampered with', () => {
    /** Changes the file, looks, and puts it back. */
    async function tampered(sql: string, args: readonly string[] = []) {
      const restore = attack(data, (database) => {
        const image = database.serialize();
        database.exec(sql);
        database.pragma('wal_checkpoint(TRUNCATE)');
        return image;
      });
      try {
        return failure(await admin.run(['audit', 'verify', ...args, '--json']));
      } finally {
        for (const name of readdirSync(data)) {
          if (/-(wal|shm)$/.test(name)) rmSync(join(data, name));
        }
        writeFileSync(join(data, 'countersign.db'), restore);
      }
    }

    it('exits with 1 and names the first broken row', async () => {
      expect(
        await tampered(`UPDATE audit SET subject = 'x' || substr(subject, 2) WHERE seq = 2`),
      ).toMatchObject({
        code: 'audit-broken',
        row: 2,
        detail: expect.stringContaining('row 2'),
      });
    });

    it('finds a cut tail by the log', async () => {
      const cut = 'DELETE FROM audit WHERE seq > 2';
      expect(await tampered(cut, ['--head-file', log])).toMatchObject({ code: 'audit-broken', row: 3 });
    });
  });
});
