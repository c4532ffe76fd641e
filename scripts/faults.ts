/**
 * `npm run faults`: kills a gateway under the calls of sixteen clients, again and again, and compares what they were
 * told with what the database holds.
 * @module
 */
import { parseArgs } from 'node:util';
import { reportText, runHarness } from '../test/faults/harness.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    kills: { type: 'string' },
    seed: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(
    'npm run faults -- [--minutes N] [--kills N] [--seed N]\n\nWithout either end, 200 kills. Exits with 1 where an effect was lost or doubled, or an answer was wrong.',
  );
  process.exit(0);
}

function number(name: 'minutes' | 'kills' | 'seed'): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  if (/^\d+(?:\.\d+)?$/.test(text)) return Number(text);
  console.error(`--${name} must be a number.`);
  process.exit(2);
}

const minutes = number('minutes');
const kills = number('kills') ?? (minutes === undefined ? 200 : Number.POSITIVE_INFINITY);
const seed = number('seed') ?? Math.floor(Math.random() * 2 ** 32);
const isTerminal = process.stderr.isTTY;
const started = Date.now();
process.stderr.write(`seed ${seed}\n`);

const report = await runHarness({
  seed,
  kills,
  ...(minutes !== undefined && { milliseconds: minutes * 60_000 }),
  onProgress({ kills, calls }) {
    const line = `${Math.round((Date.now() - started) / 1000)} s: ${kills} kills, ${calls} calls`;
    if (isTerminal) process.stderr.write(`\r${line} `);
    else if (kills % 20 === 0) process.stderr.write(`${line}\n`);
  },
});
if (isTerminal) process.stderr.write('\n');

const struck = [...report.struckAt].sort(([, one], [, other]) => other - one);
for (const [place, times] of struck) console.log(`${String(times).padStart(6)}  ${place}`);
console.log(`\n${reportText(report)} (seed ${seed}).`);
const found = [
  ...report.lost.map((op) => `lost: ${op}`),
  ...report.doubled.map((op) => `doubled: ${op}`),
  ...report.wrong.map((what) => `wrong: ${what}`),
];
for (const line of found.slice(0, 50)) console.log(line);
if (report.folder) console.log(`The database is kept in ${report.folder}.`);
process.exitCode = found.length === 0 ? 0 : 1;
