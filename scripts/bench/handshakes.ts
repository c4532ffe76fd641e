/**
 * `npx tsx scripts/bench/handshakes.ts`: what a handshake costs the server in CPU, with a P-256 leaf and with an RSA-2048
 * leaf of the same root, side by side in turns. Exits with 1 unless P-256 costs less.
 * @module
 */
import { type ChildProcess, fork } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { parseArgs } from 'node:util';
import { systemClock } from '../../src/clock.ts';
import { createAuthority } from '../../src/issuer/authority.ts';
import { issueLeaf } from '../../src/issuer/leaf.ts';
import { median } from './effects.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '9' }, json: { type: 'boolean', default: false } },
});
const HANDSHAKES = 300;
const pem = { type: 'pkcs8', format: 'pem' } as const;
const der = { type: 'spki', format: 'der' } as const;
const KEYS = {
  'P-256': () =>
    generateKeyPairSync('ec', { namedCurve: 'P-256', privateKeyEncoding: pem, publicKeyEncoding: der }),
  'RSA-2048': () =>
    generateKeyPairSync('rsa', { modulusLength: 2048, privateKeyEncoding: pem, publicKeyEncoding: der }),
};

interface Contestant {
  readonly name: string;
  readonly child: ChildProcess;
  readonly port: number;
  /** Microseconds of CPU for one handshake, round by round. */
  readonly costs: number[];
}

const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'));
const contestants: Contestant[] = [];
try {
  const authority = await createAuthority({
    dir: join(folder, 'issuer'),
    name: 'Bench root',
    constraints: { dns: ['localhost'], ip: [], uri: [] },
    passphrase: 'for as long as this runs',
    clock: systemClock,
  });
  for (const [name, newKey] of Object.entries(KEYS)) {
    const { privateKey, publicKey } = newKey();
    const names = { dns: ['localhost'], ip: [], uri: [] };
    const { leafPem } = await issueLeaf(authority, { spki: publicKey, names, use: 'server' }, systemClock);
    const child = fork(join(import.meta.dirname, 'handshake-server.ts'), { execArgv: ['--import', 'tsx'] });
    child.send({ key: createPrivateKey(privateKey).export(pem), chain: leafPem });
    const [port] = await once(child, 'message');
    contestants.push({ name, child, port, costs: [] });
  }
  // The first round warms up, and doesn't count.
  for (let round = 0; round <= Number(values.rounds); round++) {
    for (const { child, port, costs } of contestants) {
      const before = await cpuOf(child);
      for (let i = 0; i < HANDSHAKES; i++) await shakeHands(port, authority.pem);
      const cost = ((await cpuOf(child)) - before) / HANDSHAKES;
      if (round > 0) costs.push(cost);
    }
  }
} finally {
  for (const { child } of contestants) child.kill();
  rmSync(folder, { recursive: true, force: true });
}

async function cpuOf(child: ChildProcess): Promise<number> {
  child.send('cpu');
  const [cpu] = await once(child, 'message');
  return cpu;
}

async function shakeHands(port: number, ca: string): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca });
  await once(socket, 'secureConnect');
  socket.resume();
  socket.end();
  await once(socket, 'close');
}

const told = contestants.map(({ name, costs }) => ({ name, microseconds: Math.round(median(costs)) }));
const [p256, rsa] = told.map(({ microseconds }) => microseconds) as [number, number];
if (values.json) console.log(JSON.stringify({ handshakes: HANDSHAKES, rounds: Number(values.rounds), told }));
else {
  for (const { name, microseconds } of told)
    console.log(`${name.padEnd(10)} ${microseconds} µs of CPU a handshake`);
  console.log(`P-256 costs the server ${(p256 / rsa).toFixed(2)} of what RSA-2048 does.`);
}
process.exitCode = p256 < rsa ? 0 : 1;
