/**
 * `countersign ca verify`: whether the ledger holds, and whether the certificates that a folder or a running server
 * shows are all in it. The connection to a server is made here: the issuer itself opens none.
 * @module
 */
import { X509Certificate } from 'node:crypto';
import { readdirSync, realpathSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { connect, type DetailedPeerCertificate } from 'node:tls';
import { type Command, InvalidArgumentError } from 'commander';
import { epochSeconds, systemClock } from '../../clock.ts';
import { CountersignError } from '../../errors.ts';
import { readAuthority } from '../../issuer/authority.ts';
import { History } from '../../issuer/history.ts';
import { certificatesIn, type Shown, takeInventory } from '../../issuer/inventory.ts';
import { Ledger } from '../../issuer/ledger.ts';
import { readPlainFile } from '../../issuer/plain-file.ts';
import { type CommonOptions, command, print, printJson } from '../command.ts';
import { isoTime } from '../time.ts';
import { plain } from './pass.ts';

const CONNECT_MS = 10_000;

/** Bytes: a bundle of all public roots has some 200 KiB. */
const FILE_LIMIT = 1024 * 1024;

interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

interface VerifyOptions extends CommonOptions {
  readonly dir: string;
  readonly folder?: readonly string[];
  readonly server?: readonly ServerAddress[];
  readonly servername?: string;
}

export function verify(): Command {
  return command('verify', 'hold the ledger against the certificates that a folder or a server shows')
    .requiredOption('--dir <folder>', "the issuer's folder")
    .option('--folder <folder...>', 'look at the certificates in these folders, and below them')
    .option('--server <host:port...>', 'look at what these servers show', parseServer)
    .option('--servername <name>', 'the name to ask a server for, where it has several')
    .action(run);
}

function parseServer(text: string, before: readonly ServerAddress[] = []): ServerAddress[] {
  const [, bracketed, plainHost, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plainHost;
  if (host === undefined || Number(port) > 65535) throw new InvalidArgumentError('Write HOST:PORT.');
  return [...before, { host, port: Number(port) }];
}

async function run(options: VerifyOptions): Promise<void> {
  const { dir, folder: folders = [], server: servers = [], json } = options;
  readAuthority(dir);
  const ledger = new Ledger(dir);
  const { last } = ledger;
  const files = folders.flatMap(filesBelow);
  // Data, most likely; but what isn't looked at is told.
  const passedOver = files.filter((file) => !folders.includes(file) && statSync(file).size > FILE_LIMIT);
  const shown: Shown[] = files.filter((file) => !passedOver.includes(file)).flatMap(certificatesOfFile);
  for (const each of servers) shown.push(...(await certificatesOf(each, options.servername)));
  const history = new History(ledger.rows());
  const now = epochSeconds(systemClock);
  const { known, ended, strangers } = takeInventory(shown, history, now);
  if (strangers.length > 0) {
    const lines = strangers.map(
      ({ where, serial, names, why }) => `  ${plain(where)}: serial ${serial}, ${plain(names)}: ${why}`,
    );
    throw new CountersignError(
      'inventory-differs',
      `${strangers.length} of ${shown.length} certificates were not issued by this issuer:\n${lines.join('\n')}`,
      { members: { certificates: shown.length, strangers } },
    );
  }
  const rows = last?.seq ?? 0;
  const newest = last ? isoTime(last.at) : null;
  const certificates = shown.length;
  if (json) printJson({ rows, head: last?.hash ?? null, newest, certificates, known, ended, passedOver });
  else {
    print(`The ledger holds: ${rows} rows, the newest of ${newest ?? 'never'}, head ${last?.hash ?? '-'}.`);
    if (shown.length > 0)
      print(`All ${known} certificates that were shown are in it; ${ended} of them have ended.`);
    else if (folders.length + servers.length > 0) print('No certificate was shown.');
    for (const file of passedOver) print(`Not looked at, for its size: ${plain(file)}`);
  }
}

/** `inventory-differs` for one that can't be read: it may be anything. */
function certificatesOfFile(where: string): Shown[] {
  try {
    // A link is followed: what is served from a folder is often one.
    const content = readPlainFile(realpathSync(where), FILE_LIMIT);
    return certificatesIn(content).map((certificate) => ({ where, certificate }));
  } catch (error) {
    throw new CountersignError(
      'inventory-differs',
      `${plain(where)} can't be judged: ${(error as Error).message}`,
      { cause: error, members: { where } },
    );
  }
}

function filesBelow(folder: string): string[] {
  try {
    if (statSync(folder).isFile()) return [folder];
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile())
      .sort();
  } catch (error) {
    throw new CountersignError('config-invalid', `${folder} can't be read: ${(error as Error).message}`);
  }
}

/** What a server shows to whoever connects, trusted or not. `connection-lost`. */
function certificatesOf({ host, port }: ServerAddress, servername: string | undefined): Promise<Shown[]> {
  const where = `${host}:${port}`;
  const name = servername ?? (isIP(host) ? undefined : host);
  const lost = (error: Error) =>
    new CountersignError('connection-lost', `${where} shows no certificate: ${error.message}`, {
      cause: error,
    });
  return new Promise((resolve, reject) => {
    // Whether it is to be trusted is what the ledger will tell.
    const socket = connect({
      host,
      port,
      rejectUnauthorized: false,
      ...(name !== undefined && { servername: name }),
    });
    socket.setTimeout(CONNECT_MS, () => socket.destroy(new Error('it took too long')));
    socket.on('error', (error) => reject(lost(error)));
    socket.on('close', () => reject(lost(new Error('it closed the connection'))));
    socket.on('secureConnect', () => {
      resolve(chainOf(socket.getPeerCertificate(true)).map((certificate) => ({ where, certificate })));
      socket.end();
    });
  });
}

function chainOf(leaf: DetailedPeerCertificate): X509Certificate[] {
  const chain: X509Certificate[] = [];
  // A root is its own issuer.
  for (let each = leaf; each?.raw; each = each.issuerCertificate) {
    chain.push(new X509Certificate(each.raw));
    if (each.issuerCertificate === each) break;
  }
  return chain;
}
