/**
 * `countersign audit list|verify|export`: what was decided. Only reads, beside a gateway that may be running.
 * @module
 */
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { type Command, InvalidArgumentError } from 'commander';
import type { AuditFilter, AuditHead, AuditRow } from '../audit/audit.ts';
import { verifyChain } from '../audit/chain.ts';
import { HEAD_MESSAGE } from '../audit/minutes.ts';
import { epochSeconds, systemClock } from '../clock.ts';
import { loadMasterKey, masterKeysOf } from '../consumers/master-key.ts';
import { CountersignError } from '../errors.ts';
import { AuditFile } from '../storage/sqlite/audit-file.ts';
import { type CommonOptions, command, configOf, noun, print, printJson, printTable } from './command.ts';
import { isoTime, parseDuration, parseTime } from './time.ts';

interface RowOptions extends CommonOptions {
  readonly keyid?: string;
  readonly since?: number;
  readonly limit: number;
}

interface VerifyOptions extends CommonOptions {
  readonly head?: AuditHead;
  readonly headFile?: string;
}

const SINCE_FORMS = '2026-11-01, 2026-11-01T12:00:00Z, or how long ago: 7d, 24h, 90m';
const SINCE = `from this time on: ${SINCE_FORMS}`;

export function audit(): Command {
  return noun('audit', 'what was decided, by whom and why', [
    command('list', 'list the newest rows')
      .option('--keyid <keyid>', 'what this key did')
      .option('--since <time>', SINCE, parseSince)
      .option('--limit <rows>', 'at most so many of the newest', parseLimit, 100)
      .action(list),
    command('verify', 'check that no row was changed, put in or left out')
      .option('--head <seq:mac>', 'the chain must go through this head, which was kept elsewhere', parseHead)
      .option('--head-file <file>', 'the same for every head in a log of the gateway; - is standard input')
      .action(verify),
    command('export', 'write every row as a line of JSON')
      .option('--since <time>', SINCE, parseSince)
      .action(writeOut),
  ]);
}

async function withAudit<T>(options: CommonOptions, work: (file: AuditFile) => T | Promise<T>): Promise<T> {
  const file = new AuditFile(configOf(options).data);
  try {
    return await work(file);
  } finally {
    file.close();
  }
}

async function list({ limit, ...options }: RowOptions): Promise<void> {
  const rows = await withAudit(options, ({ audit }) => [
    ...audit.rows({ ...filterOf(options), newest: limit }),
  ]);
  if (options.json) printJson(rows.map(describe));
  else {
    printTable(
      ['SEQ', 'AT', 'ACTOR', 'ACTION', 'SUBJECT', 'KEYID', 'REQUEST', 'DETAIL'],
      rows.map(({ seq, at, actor, action, subject, keyid = '', requestId = '', detail = '' }) =>
        [String(seq), timeOf(at), actor, action, subject, keyid, requestId, detail].map(printable),
      ),
    );
  }
}

async function writeOut(options: RowOptions): Promise<void> {
  let isRead = true;
  // Whoever reads the rows has seen enough, as `head` does.
  process.stdout.on('error', () => {
    isRead = false;
  });
  await withAudit(options, async ({ audit }) => {
    for (const row of audit.rows(filterOf(options))) {
      if (!isRead) return;
      const line = `${JSON.stringify(describe(row))}\n`;
      if (!process.stdout.write(line))
        await Promise.race([once(process.stdout, 'drain'), once(process.stdout, 'close')]);
    }
  });
}

async function verify(options: VerifyOptions): Promise<void> {
  const heads = options.head ? [options.head] : [];
  if (options.headFile !== undefined) heads.push(...(await readHeads(options.headFile)));
  const { data, masterKey: given } = configOf(options);
  const { rows, head } = await withAudit(options, (file) => {
    const masterKey = loadMasterKey({ folder: data, given, databaseExists: true });
    const keys = file.keys(masterKey, given === undefined ? masterKeysOf(data).next : undefined);
    const report = verifyChain(file.audit.links(), keys, heads);
    if (report.fault) {
      const { seq, why } = report.fault;
      throw new CountersignError('audit-broken', `The audit record is broken at row ${seq}: ${why}.`, {
        members: { row: seq, head: report.head },
      });
    }
    // Rows that an index has lost are whole, and not found by their keyid.
    const [damage] = file.audit.damage();
    if (damage !== undefined) {
      throw new CountersignError('audit-broken', `Every row holds, but the table is damaged: ${damage}.`);
    }
    return report;
  });
  if (options.json) printJson({ rows, head, heads: heads.length });
  else {
    print(`Whole: ${rows} rows${rows > 0 ? `, of which the last is ${head.seq}:${head.mac}` : ''}.`);
    if (heads.length === 0) {
      print(
        'A tail that was cut off shows only against a head that was kept: --head, or --head-file with the log.',
      );
    }
  }
}

/** Every head that the gateway has told: an older one finds a tail that was cut off and written anew. */
async function readHeads(file: string): Promise<AuditHead[]> {
  const heads: AuditHead[] = [];
  const input = file === '-' ? process.stdin : createReadStream(file);
  try {
    for await (const line of createInterface({ input })) {
      const head = line.includes(HEAD_MESSAGE) ? headOf(line) : undefined;
      if (head) heads.push(head);
    }
  } catch (error) {
    throw new CountersignError('request-invalid', `${file} can't be read: ${(error as Error).message}.`);
  }
  if (heads.length > 0) return heads;
  throw new CountersignError(
    'request-invalid',
    `There is no "${HEAD_MESSAGE}" in ${file}: give a log of the gateway.`,
  );
}

/** A line of the log, also behind what a journal puts before it. */
function headOf(line: string): AuditHead | undefined {
  try {
    const { msg, seq, mac } = JSON.parse(line.slice(line.indexOf('{')));
    return msg === HEAD_MESSAGE && Number.isSafeInteger(seq) && typeof mac === 'string'
      ? { seq, mac }
      : undefined;
  } catch {
    return undefined;
  }
}

function filterOf({ keyid, since }: Pick<RowOptions, 'keyid' | 'since'>): AuditFilter {
  return { ...(keyid !== undefined && { keyid }), ...(since !== undefined && { since }) };
}

function describe({ seq, at, detail, keyVersion, mac, ...event }: AuditRow) {
  return {
    seq,
    at: timeOf(at),
    ...event,
    detail: readDetail(detail),
    keyVersion,
    mac: mac.toString('base64'),
  };
}

/** A row that somebody has changed is shown all the same. */
function readDetail(detail: string | undefined): unknown {
  try {
    return detail === undefined ? undefined : JSON.parse(detail);
  } catch {
    return detail;
  }
}

/** What somebody wrote into the file does nothing to a terminal. */
function printable(cell: string): string {
  return cell.replace(/\p{Cc}/gu, '?');
}

function parseSince(text: string): number {
  try {
    return /^\d+[smhd]$/.test(text) ? epochSeconds(systemClock) - parseDuration(text) : parseTime(text);
  } catch {
    throw new InvalidArgumentError(`Write ${SINCE_FORMS}.`);
  }
}

function parseLimit(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It must be a whole number from 1.');
  return Number(text);
}

function parseHead(text: string): AuditHead {
  const [, seq, mac] = /^(\d{1,15}):([A-Za-z0-9+/]{43}=)$/.exec(text) ?? [];
  if (mac === undefined) throw new InvalidArgumentError('It must be like 17:rT4…=, as the log has them.');
  return { seq: Number(seq), mac };
}

/** A time that somebody has changed may be none. */
function timeOf(at: number): string {
  return Math.abs(at) <= 8.64e12 ? isoTime(at) : String(at);
}
