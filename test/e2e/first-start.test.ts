/**
 * What a newcomer meets: the first start, the line that it prints, and the line pasted into another terminal.
 */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { copyProject } from './built.ts';
import {
  Child,
  countersign,
  endAll,
  listening,
  readCredentials,
  serve,
  temporaryFolder,
} from './processes.ts';

afterEach(endAll);

const LINE = `npx --no countersign call POST /v1/echo '{"hello":"world"}'`;

/** The lines of what was told to people that are to be pasted. */
const pastable = (stderr: string) => stderr.split('\n').filter((line) => line.startsWith('  '));
const modeOf = (...path: string[]) => (statSync(join(...path)).mode & 0o777).toString(8);

it('makes the data folder, the master key and the demo credentials, for their owner alone', async () => {
  const data = join(temporaryFolder(), 'a', 'data');
  const gateway = await serve(data);
  expect(modeOf(data)).toBe('700');
  expect(modeOf(data, 'master.key')).toBe('600');
  expect(modeOf(data, 'demo.json')).toBe('600');
  expect(modeOf(data, 'countersign.db')).toBe('600');
  expect(gateway.credentials).toEqual({
    keyid: expect.stringMatching(/^demo\.[\w-]{12}$/),
    secret: expect.stringMatching(/^[\w+/]{86}==$/),
    url: gateway.url,
  });
});

it('prints exactly one line to paste, and no secret', async () => {
  const gateway = await serve(join(temporaryFolder(), 'data'));
  const { stdout, stderr } = await gateway.child.stop();
  expect(pastable(stderr)).toEqual([`  ${LINE}`]);
  expect(stdout + stderr).not.toContain(gateway.credentials.secret);
});

it('keeps secrets and the one demo consumer at a second start, and notes the new address', async () => {
  const data = join(temporaryFolder(), 'data');
  const first = await serve(data);
  const masterKey = readFileSync(join(data, 'master.key'));
  const before = first.credentials;
  await first.child.stop();
  const second = await serve(data);
  expect(second.credentials).toEqual({ ...before, url: second.url });
  expect(readFileSync(join(data, 'master.key'))).toEqual(masterKey);
  const list = await countersign(['consumer', 'list', '--json', '--data', data]).ended;
  expect(JSON.parse(list.stdout)).toEqual([expect.objectContaining({ name: 'demo', roles: ['demo'] })]);
  expect(pastable(second.child.stderr)).toEqual([`  ${LINE}`]);
});

it('makes no second demo consumer where the first was disabled', async () => {
  const data = join(temporaryFolder(), 'data');
  const first = await serve(data);
  const before = first.credentials;
  await first.child.stop();
  await countersign(['consumer', 'disable', 'demo', '--data', data]).ended;
  const second = await serve(data);
  expect(second.credentials.secret).toBe(before.secret);
  const call = await countersign(['call', 'GET', '/v1/whoami', '--data', data]).ended;
  expect(call).toMatchObject({ code: 1, stderr: expect.stringContaining('(key-inactive)') });
});

it('starts twice at once on a new data folder, with one demo consumer that both serve', async () => {
  const data = join(temporaryFolder(), 'data');
  const gateways = await Promise.all([serve(data), serve(data)]);
  const list = await countersign(['consumer', 'list', '--json', '--data', data]).ended;
  expect(JSON.parse(list.stdout)).toHaveLength(1);
  for (const { url } of gateways) {
    const call = await countersign(['call', 'GET', `${url}/v1/whoami`, '--data', data]).ended;
    expect(call).toMatchObject({ code: 0, stderr: '' });
  }
});

it('serves a newcomer who builds it and pastes the printed line into another terminal', async () => {
  const project = temporaryFolder();
  copyProject(project);
  const started = new Child('npm', ['start'], {
    cwd: project,
    group: true,
    variables: { COUNTERSIGN_PORT: '0' },
  });
  await started.written(/^ {2}npx .*\n\n/m, 'stderr');
  const { url } = await listening(started);
  expect(modeOf(project, 'dist/cli/countersign.js')).toBe('755');
  expect(readCredentials(join(project, '.countersign/demo.json')).url).toBe(url);

  const [line] = pastable(started.stderr);
  expect(line?.trim()).toBe(LINE);
  const pasted = await new Child('sh', ['-c', line ?? ''], { cwd: project, group: true }).ended;
  expect(pasted).toMatchObject({
    code: 0,
    stdout: '200 OK\n{"consumer":"demo","echo":{"hello":"world"}}\nresponse verified\n',
  });

  // As Ctrl-C in a terminal does, and npm passes it on as well: the gateway is asked twice.
  started.signal('SIGINT');
  expect((await started.ended).stdout).toContain('"msg":"stopped"');
});
