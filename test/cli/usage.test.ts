/**
 * What all commands share: `--help`, and how they say that they were misused.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { countersign, endAll } from '../e2e/processes.ts';

afterAll(endAll);

/** The names below "Commands:" in a help text. */
function commandsIn(help: string): string[] {
  const [, list = ''] = help.split('\nCommands:\n');
  const names = [...list.matchAll(/^ {2}([a-z-]+)/gm)].map(([, name = '']) => name);
  return names.filter((name) => name !== 'help');
}

describe('--help', () => {
  it('tells the use of every command and every noun, and exits with 0', async () => {
    const commands: string[] = [];
    const walk = async (words: readonly string[]): Promise<void> => {
      const { code, stdout, stderr } = await countersign([...words, '--help']).ended;
      expect({ words, code, stderr }).toEqual({ words, code: 0, stderr: '' });
      expect(stdout).toContain(`Usage: ${['countersign', ...words].join(' ')} `);
      const below = commandsIn(stdout);
      if (below.length === 0) {
        commands.push(words.join(' '));
        expect(stdout).toContain('--json');
        // What may stand several times has no default that a reader could take for a value.
        expect(stdout).not.toContain('[])');
      }
      await Promise.all(below.map((name) => walk([...words, name])));
    };
    await walk([]);
    expect(commands).toEqual(
      expect.arrayContaining([
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
      ]),
    );
  });
});

describe('misuse exits with 2 and says so on standard error', () => {
  it.concurrent.each([
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
