/**
 * The systemd unit: systemd itself finds nothing wrong with it, and what it relies on is so.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { refusal } from '../config/load.ts';
import { builtFolder } from '../e2e/built.ts';
import { Child, endAll, readCredentials, serve, temporaryFolder } from '../e2e/processes.ts';
import { send, sign } from '../gateway/wire.ts';
import { isInstalled, snippet, withParts } from './proxies.ts';

afterEach(endAll);

const KEY = Buffer.alloc(32, 7).toString('base64');

/** Every line of one name, in order. */
function settings(name: string): string[] {
  return [...snippet('countersign.service').matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(
    ([, value = '']) => value,
  );
}

it.skipIf(!isInstalled('systemd-analyze'))('systemd-analyze finds nothing wrong, and little exposed', () => {
  const file = join(temporaryFolder(), 'countersign.service');
  const cli = join(builtFolder(), 'dist/cli/countersign.js');
  const unit = withParts(snippet('countersign.service'), {
    '/usr/bin/node': process.execPath,
    '/opt/countersign/dist/cli/countersign.js': cli,
  });
  writeFileSync(file, unit);
  const verified = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' });
  expect(verified).toMatchObject({ status: 0, stdout: '', stderr: '' });
  // 0 is nothing exposed, 10 is everything; the threshold counts tenths.
  const exposed = spawnSync('systemd-analyze', ['security', '--offline=yes', '--threshold=20', file]);
  expect(exposed.status).toBe(0);
});

it('the commands of the unit are there, and what it names of the environment is known', () => {
  const commands = [...settings('ExecStart'), ...settings('ExecReload')];
  expect(commands).toEqual([
    '/usr/bin/node /opt/countersign/dist/cli/countersign.js serve',
    '/usr/bin/node /opt/countersign/dist/cli/countersign.js config check',
    '/bin/kill -HUP $MAINPID',
  ]);
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'countersign.yaml'), '');
  writeFileSync(join(folder, 'master.key'), `${KEY}\n`);
  const places: Record<string, string> = {
    '/etc/countersign': folder,
    '/var/lib/countersign': folder,
    '%d': folder,
  };
  const variables = Object.fromEntries(
    settings('Environment').map((line) => {
      const [name = '', value = ''] = line.split(/=(.*)/s);
      return [name, Object.entries(places).reduce((text, [from, to]) => text.replace(from, to), value)];
    }),
  );
  expect(loadConfig(variables)).toMatchObject({
    data: folder,
    masterKey: KEY,
    file: join(folder, 'countersign.yaml'),
  });
});

it('hides nothing that the gateway reads: the boot id, without which every start raises the fence', () => {
  expect(settings('ProcSubset')).toEqual([]);
  expect(settings('MemoryDenyWriteExecute')).toEqual([]);
});

it('a stop has longer than the gateway waits for what is in flight', () => {
  const listener = readFileSync(join(import.meta.dirname, '../../src/gateway/listener.ts'), 'utf8');
  const [, longest = ''] = /LONGEST_STOP = ([\d_]+);/.exec(listener) ?? [];
  expect(Number(settings('TimeoutStopSec')[0]) * 1000).toBeGreaterThan(Number(longest.replace('_', '')));
});

it('a master key that is handed over in a file is used, and never copied into the data folder', async () => {
  const folder = temporaryFolder();
  const [data, file] = [join(folder, 'data'), join(folder, 'key')];
  writeFileSync(file, `${KEY}\n`, { mode: 0o400 });
  const gateway = await serve(data, { variables: { COUNTERSIGN_MASTER_KEY_FILE: file } });
  expect((await send(gateway, sign(gateway, readCredentials(join(data, 'demo.json'))))).status).toBe(200);
  await gateway.child.stop();
  expect(existsSync(join(data, 'master.key'))).toBe(false);
  const again = await serve(data, { variables: { COUNTERSIGN_MASTER_KEY: KEY } });
  expect((await send(again, sign(again, again.credentials))).status).toBe(200);
});

it.each([
  ['is missing', undefined, {}, /can't be read: .*nowhere \(ENOENT\)$/],
  [
    'holds something else',
    'correct horse battery staple',
    {},
    /must be 32 bytes in base64, and is something else/,
  ],
  ['stands beside the variable', KEY, { COUNTERSIGN_MASTER_KEY: KEY }, /unset one of them$/],
])('a file of the master key that %s stops the start, and is not repeated', (_what, content, more, said) => {
  const file = join(temporaryFolder(), 'nowhere');
  if (content !== undefined) writeFileSync(file, content);
  const error = refusal(undefined, { COUNTERSIGN_MASTER_KEY_FILE: file, ...more });
  expect(error.message).toMatch(/^COUNTERSIGN_MASTER_KEY_FILE: /);
  expect(error.message).toMatch(said);
  if (content !== undefined) expect(error.message).not.toContain(content);
});

it.skipIf(!isInstalled('python3'))(
  'a gateway that was started in a terminal ends with the terminal',
  async () => {
    const script = join(import.meta.dirname, 'terminal.py');
    const cli = join(builtFolder(), 'dist/cli/countersign.js');
    const args = [script, '/v1/echo', process.execPath, cli, 'serve'];
    const variables = { COUNTERSIGN_DATA: join(temporaryFolder(), 'data'), COUNTERSIGN_PORT: '0' };
    const { code, stdout } = await new Child('python3', args, { variables }).ended;
    expect({ code, stdout }).toEqual({ code: 0, stdout: '-9\n' });
  },
);
