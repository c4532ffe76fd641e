/**
 * `countersign doctor`: looks at everything that a gateway needs, changes nothing, and says what to mend.
 * @module
 */
import { existsSync, readdirSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { epochSeconds, systemClock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { expiryWarnings } from '../consumers/expiry.ts';
import { loadMasterKey, masterKeyFile, masterKeysOf } from '../consumers/master-key.ts';
import { CountersignError } from '../errors.ts';
import { SqliteConsumerReader } from '../storage/sqlite/consumers.ts';
import {
  type Database,
  databaseExists,
  inspectDatabase,
  openForReading,
} from '../storage/sqlite/database.ts';
import { unwrapsAll } from '../storage/sqlite/wrapped-keys.ts';
import { checkCertificates, checkIssuer } from './certificate-findings.ts';
import { type CommonOptions, command, configOf, print, printJson, REFUSED } from './command.ts';
import { type Finding, failure, ok, warning } from './finding.ts';
import { probeGateway } from './gateway-probe.ts';

interface DoctorOptions extends CommonOptions {
  readonly routes?: true;
  readonly issuer?: string;
  readonly schedule?: string;
}

/** A clock before this was never set: the day of the first release. */
const LEAST_NOW = Date.UTC(2026, 10, 1) / 1000;
const LEAST_FREE_BYTES = 256 * 1024 * 1024;
/** Seconds by which this command's clock and a running gateway's may differ before it is worth a word. */
const WORTH_TELLING = 5;

export function doctor(): Command {
  return command('doctor', 'look at clock, disk, permissions, store and configuration')
    .option('--routes', 'show every route, the role that it asks for and who could call it now')
    .option(
      '--issuer <folder>',
      "look at an issuer's folder instead: its root, its last pass, runs that were missed",
    )
    .option(
      '--schedule <cron>',
      'the schedule of that issuer (that of its ca run; with a timer or cron, 0 */6 * * *)',
    )
    .action((options: DoctorOptions) => (options.routes ? showRoutes(options) : examine(options)));
}

async function examine(options: DoctorOptions): Promise<void> {
  const findings: Finding[] = [];
  const now = systemClock.now();
  if (options.issuer !== undefined)
    findings.push(...(await checkIssuer(options.issuer, options.schedule, now)));
  const config = options.issuer === undefined ? checkConfiguration(options, findings) : undefined;
  if (config) {
    findings.push(
      checkFolder(config),
      checkDisk(config),
      ...checkStore(config),
      ...checkKeys(config),
      ...checkCertificates(config, now),
      ...(await checkGateway(config)),
    );
  }
  findings.push(checkClock());
  if (options.json) printJson({ findings });
  else
    for (const { check, status, detail } of findings)
      print(`${status.padEnd(8)} ${check.padEnd(14)} ${detail}`);
  if (findings.some(({ status }) => status === 'failure')) process.exitCode = REFUSED;
}

async function showRoutes(options: CommonOptions): Promise<void> {
  const { data, routes: table, roles, publicDemo } = configOf(options);
  // Here alone, since the routes take longer to load than all of the rest.
  const { callersOf, printMatrix, routeMatrix, routesInCode } = await import('./route-matrix.ts');
  const database = openForReading(data);
  try {
    const callers = callersOf(new SqliteConsumerReader(database), epochSeconds(systemClock));
    printMatrix(routeMatrix(routesInCode({ publicDemo }), table, callers, roles), options);
  } finally {
    database.close();
  }
}

function checkConfiguration(options: CommonOptions, findings: Finding[]): Config | undefined {
  try {
    const config = configOf(options);
    findings.push(ok('configuration', config.file ?? 'defaults and environment'));
    return config;
  } catch (error) {
    if (!(error instanceof CountersignError)) throw error;
    findings.push(failure('configuration', error.message));
    return undefined;
  }
}

function checkClock(): Finding {
  const now = epochSeconds(systemClock);
  if (now < LEAST_NOW) return failure('clock', `It says ${isoTime(now)}; set it, or no signature will hold.`);
  return ok('clock', isoTime(now));
}

function checkFolder({ data }: Config): Finding {
  if (!existsSync(data)) return warning('permissions', `${data} isn't there yet; the first start makes it.`);
  const open = ['.', ...readdirSync(data)]
    .map((name) => join(data, name))
    .filter((path) => (statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o077);
  if (process.platform === 'win32' || open.length === 0)
    return ok('permissions', `${data} is its owner's alone`);
  return failure('permissions', `Others can read ${open.join(', ')}; run: chmod -R go= ${data}`);
}

function checkDisk({ data }: Config): Finding {
  if (!existsSync(data)) return ok('disk', 'not looked at');
  const { bavail, bsize } = statfsSync(data);
  const free = `${Math.floor((bavail * bsize) / 1024 / 1024)} MiB free`;
  if (bavail * bsize >= LEAST_FREE_BYTES) return ok('disk', free);
  return failure('disk', `${free} for ${data}: without room for a commit every call is refused. Make room.`);
}

function checkStore(config: Config): Finding[] {
  const { data } = config;
  if (!databaseExists(data)) return [warning('store', 'There is no database yet; the first start makes it.')];
  const findings = [checkMasterKey(config)];
  try {
    const { schemaVersion, newestSchemaVersion, damage, nonceHorizon } = inspectDatabase(data);
    if (damage.length > 0)
      findings.push(failure('store', `The database is damaged: ${damage[0]}. Restore a backup.`));
    else if (schemaVersion > newestSchemaVersion) {
      findings.push(
        failure(
          'store',
          `Schema version ${schemaVersion} is newer than this program knows; run the newer one.`,
        ),
      );
    } else findings.push(ok('store', `schema version ${schemaVersion}, undamaged`));
    if (nonceHorizon > epochSeconds(systemClock)) {
      const until = isoTime(nonceHorizon);
      findings.push(
        warning('nonces', `The clock has stepped back: calls that expire before ${until} are refused.`),
      );
    }
  } catch (error) {
    findings.push(failure('store', `The database can't be read: ${(error as Error).message}.`));
  }
  return findings;
}

/** Whether it is there, and opens the database. */
function checkMasterKey({ data, masterKey: given }: Config): Finding {
  const check = 'master key';
  try {
    const masterKey = loadMasterKey({ folder: data, given, databaseExists: true });
    // A start takes the one that waits where a change was cut off.
    const mayOpen = () => (given === undefined ? Object.values(masterKeysOf(data)) : [masterKey]);
    const opens = () =>
      fromStore(data, (database) => mayOpen().some((key) => key && unwrapsAll(database, key)));
    const where = given === undefined ? 'in the data folder' : 'from the environment';
    // Once more where it doesn't: it may have been changed between the look at the files and that at the rows.
    const isOpened = opens() || opens();
    if (isOpened === undefined) return ok(check, where);
    if (isOpened) return ok(check, `${where}, opens the database`);
    const place = given === undefined ? masterKeyFile(data) : 'COUNTERSIGN_MASTER_KEY';
    return failure(
      check,
      `The one ${where} doesn't open the database, so no start: put the right one into ${place}, or restore a backup together with its key.`,
    );
  } catch (error) {
    return failure(check, (error as Error).message);
  }
}

/** Which keys end soon. */
function checkKeys({ data }: Config): Finding[] {
  const now = epochSeconds(systemClock);
  const keys = fromStore(data, (database) => new SqliteConsumerReader(database).standingKeys(now));
  if (!keys) return [];
  const warnings = expiryWarnings(keys, now);
  if (warnings.length === 0) return [ok('keys', 'none ends within 14 days')];
  return warnings.map(({ detail }) => warning('keys', `${detail}.`));
}

/** What is read of the store; undefined where it can't be, of which its own check tells. */
function fromStore<T>(data: string, read: (database: Database) => T): T | undefined {
  let database: Database | undefined;
  try {
    database = openForReading(data);
    return read(database);
  } catch {
    return undefined;
  } finally {
    database?.close();
  }
}

async function checkGateway(config: Config): Promise<Finding[]> {
  const { host, port } = config;
  const answer = await probeGateway(config);
  if (!answer) return [warning('gateway', `Nothing answers on ${host}:${port}.`)];
  if (answer.fault !== undefined)
    return [failure('gateway', `TLS with ${host}:${port} fails: ${answer.fault}`)];
  const findings = [
    answer.status === 200
      ? ok('gateway', `ready on ${host}:${port}`)
      : failure('gateway', `It answers /readyz with ${answer.status}; its log says why.`),
  ];
  const apart = Math.abs(answer.date - epochSeconds(systemClock));
  if (apart > WORTH_TELLING)
    findings.push(warning('clock', `The gateway's clock is ${apart} s apart from this one.`));
  return findings;
}

function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
