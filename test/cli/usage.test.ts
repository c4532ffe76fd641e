/**
 * What all commands share: `--help`, and how they say that they were misused.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { countersign, endAll } from '../e2e/processes.ts';

afterAll(endAll);

const nouns = ['consumer', 'key', 'config'];
const commands = [
  'serve',
  'call',
  'doctor',
  'consumer add',
  'consumer list',
  'consumer show',
  'consumer disable',
  'key list',
  'key revoke',
  'config check',
];

describe('--help', () => {
  it.each(['', ...nouns, ...commands])(
    'countersign %s --help tells its use, and exits with 0',
    async (name) => {
      const words = name.split(' ').filter((word) => word !== '');
      const { code, stdout, stderr } = await countersign([...words, '--help']).ended;
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toContain(`Usage: ${['countersign', ...words].join(' ')} `);
      if (commands.includes(name)) expect(stdout).toContain('--json');
    },
  );

  it('names every command that there is', async () => {
    const { stdout } = await countersign(['--help']).ended;
    const listed = [...stdout.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name);
    expect(listed).toEqual(expect.arrayContaining([...nouns, 'serve', 'call', 'doctor']));
  });
});

describe('misuse exits with 2 and says so on standard error', () => {
  it.each([
    ['', 'Usage: countersign'],
    ['brew', "unknown command 'brew'"],
    ['consumer', 'Usage: countersign consumer'],
    ['consumer brew', "unknown command 'brew'"],
    ['consumer add', "missing required argument 'name'"],
    ['consumer add tea --rolle x', "unknown option '--rolle'"],
    ['key revoke', "missing required argument 'keyid'"],
    ['doctor now', 'too many arguments'],
    ['serve --port 1', "unknown option '--port'"],
  ])('countersign %s', async (line, said) => {
    const { code, stdout, stderr } = await countersign(line.split(' ').filter((word) => word !== '')).ended;
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(said);
  });
});
