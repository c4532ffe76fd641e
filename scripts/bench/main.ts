/**
 * `npm run bench`: bare Koa, `http-message-signatures` on Koa and the gateway with everything on, in turn over
 * several rounds, each one process on one core. Then idempotent effects, with commits that are shared and without. What
 * counts is the ratio within one run.
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { measureEffects, median } from './effects.ts';
import { type Credentials, drive, prepare } from './load.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(
    'npm run bench -- [--quick] [--json] [--rounds N]\n\nRatios of calls a second to those of bare Koa, and of effects that share a commit to those that do not.',
  );
  process.exit(0);
}

const CONNECTIONS = 64;
const rounds = Number(values.rounds ?? (values.quick ? 2 : 7));
const count = values.quick ? 4_000 : 20_000;
const here = import.meta.dirname;
const pinning = spawnSync('taskset', ['-V']).status === 0;
if (pinning) spawnSync('taskset', ['-cp', '1', String(process.pid)]);

interface Contestant {
  readonly name: string;
  readonly child: ChildProcess;
  readonly port: number;
  readonly credentials: Credentials;
}

const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'));

function start(command: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const [program = '', ...args] = pinning ? ['taskset', '-c', '0', ...command] : command;
  // The gateway's log goes to a file, as it would where its output is collected.
  const log = openSync(join(folder, 'log'), 'a');
  return spawn(program, args, {
    env: { ...process.env, NODE_ENV: 'production', ...env },
    stdio: ['ignore', env.COUNTERSIGN_DATA ? log : 'pipe', env.COUNTERSIGN_DATA ? 'pipe' : 'inherit'],
  });
}

async function firstMatch(stream: NodeJS.ReadableStream | null, pattern: RegExp): Promise<number> {
  let text = '';
  for await (const chunk of stream ?? []) {
    text += chunk;
    const found = pattern.exec(text)?.[1];
    if (found) return Number(found);
  }
  throw new Error(`a server didn't start: ${text}`);
}

const node = process.execPath;
const data = join(folder, 'data');

async function startAll(): Promise<Contestant[]> {
  const gateway = start([node, join(here, '../../dist/cli/countersign.js'), 'serve'], {
    COUNTERSIGN_DATA: data,
    COUNTERSIGN_PORT: '0',
  });
  const gatewayPort = await firstMatch(gateway.stderr, /serves http:\/\/127\.0\.0\.1:(\d+)/);
  const credentials = JSON.parse(readFileSync(join(data, 'demo.json'), 'utf8')) as Credentials;
  const bare = start([node, '--import', 'tsx', join(here, 'bare-koa.ts')]);
  const library = start([node, '--import', 'tsx', join(here, 'library-koa.ts')], {
    BENCH_SECRET: credentials.secret,
  });
  const port = /(\d+)\n/;
  return [
    { name: 'bare Koa', child: bare, port: await firstMatch(bare.stdout, port), credentials },
    {
      name: 'http-message-signatures on Koa',
      child: library,
      port: await firstMatch(library.stdout, port),
      credentials,
    },
    { name: 'Countersign', child: gateway, port: gatewayPort, credentials },
  ];
}

const contestants = await startAll();
const perSecond = new Map(contestants.map(({ name }) => [name, [] as number[]]));
try {
  for (let round = 0; round <= rounds; round++) {
    for (const { name, port, credentials } of contestants) {
      const seconds = await drive(prepare(count, port, credentials), port, CONNECTIONS);
      // The first round warms the servers up, and isn't counted.
      if (round > 0) perSecond.get(name)?.push(count / seconds);
    }
    if (!values.json && round > 0) process.stderr.write(`round ${round} of ${rounds}\n`);
  }
} finally {
  await Promise.all(
    contestants.map(async ({ child }) => {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    }),
  );
  rmSync(folder, { recursive: true, force: true });
}

const bare = perSecond.get('bare Koa') ?? [];
const results = contestants.map(({ name }) => {
  const figures = perSecond.get(name) ?? [];
  const ratios = figures.map((figure, i) => figure / (bare[i] ?? Number.NaN));
  return {
    name,
    callsPerSecond: Math.round(median(figures)),
    ratio: Number(median(ratios).toFixed(3)),
    lowest: Number(Math.min(...ratios).toFixed(3)),
    highest: Number(Math.max(...ratios).toFixed(3)),
  };
});
const effectsPerRound = values.quick ? 500 : 2_000;
const effects = await measureEffects(rounds, effectsPerRound);
if (values.json) {
  const calls = { rounds, callsPerRound: count, connections: CONNECTIONS, pinning, results };
  console.log(JSON.stringify({ ...calls, effects: { ...effects, effectsPerRound } }, null, 2));
} else {
  for (const { name, callsPerSecond, ratio, lowest, highest } of results) {
    console.log(
      `${name.padEnd(32)} ${ratio.toFixed(2)} of bare Koa (${lowest} to ${highest}), ${callsPerSecond} calls a second`,
    );
  }
  const { shared, alone, ratio, lowest, highest, atOnce } = effects;
  console.log(
    `Idempotent effects, ${atOnce} at once: ${ratio} times as many in shared commits (${lowest} to ${highest}), ${shared} a second beside ${alone} with a commit each`,
  );
}
