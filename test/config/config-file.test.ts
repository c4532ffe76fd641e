import { describe, expect, it } from 'vitest';
import { processorTime } from '../own-time.ts';
import { faults, load, refusal } from './load.ts';

describe('the faults of a file', () => {
  const faulty = `
prot: 80
port: 99999
signatures: { maxlife: 3, skew: -1 }
limits:
  body: 1.5
roles: [orders]
routes:
  - path: /a
    upstream: http://127.0.0.1:9000/x
    rolle: orders
  - { path: /a, upstream: 'http://127.0.0.1:9000', role: ordres }
logLevel: loud
`;

  it('are told together, each with its line, its column and what to do', () => {
    expect(faults(faulty)).toEqual([
      'c.yaml:2:1 prot: is not a setting; did you mean port?',
      'c.yaml:3:7 port: must be a port from 0 to 65535',
      'c.yaml:4:15 signatures.maxlife: is not a setting; did you mean maxLife?',
      'c.yaml:4:33 signatures.skew: must be a number of seconds from 0 to 300',
      'c.yaml:6:9 limits.body: must be a number of bytes from 1 to 268435456',
      'c.yaml:9:5 routes[0].role: is missing; write the role that a caller needs, or any for whoever is authenticated',
      'c.yaml:10:15 routes[0].upstream: must be an origin such as https://api.example.com: scheme, host and perhaps a port, with no path (not even a trailing slash), query or password',
      'c.yaml:11:5 routes[0].rolle: is not a setting; did you mean role?',
      'c.yaml:12:13 routes[1].path: is the path of routes[0] too; a path stands once',
      'c.yaml:12:58 routes[1].role: is granted by nothing under roles:; did you mean orders?',
      'c.yaml:13:11 logLevel: must be one of trace, debug, info, warn, error, fatal, silent',
    ]);
  });

  it('are members of the error, too', () => {
    const error = refusal('port: x', { COUNTERSIGN_HOST: '?' });
    expect(error.code).toBe('config-invalid');
    expect(error.members.errors).toEqual([
      { path: 'COUNTERSIGN_HOST', detail: expect.any(String) },
      { path: 'port', detail: 'must be a port from 0 to 65535', line: 1, column: 7 },
    ]);
  });

  it('are found behind an alias', () => {
    expect(
      faults("a: &a { path: /a, upstream: 'http://u', rol: any }\nroutes: [*a]").map(
        (line) => line.split(': ')[0],
      ),
    ).toEqual(['c.yaml:1:1 a', 'c.yaml:1:41 routes[0].rol', 'c.yaml:2:10 routes[0].role']);
  });

  it('list the known settings where a name resembles none', () => {
    expect(faults('signatures: { banana: 1 }')).toEqual([
      'c.yaml:1:15 signatures.banana: is not a setting; the settings here are maxLife, skew',
    ]);
  });

  it.each([
    ['repeated keys', 'port: 1\nhost: localhost\nport: 2', 'c.yaml:3:1 "port" stands twice; keep one.'],
    ['a key that is a list', '[1]: 2', 'c.yaml:1:1 A key must be a plain word.'],
    ['a prototype', '__proto__: { insecure: true }', /^c\.yaml:1:1 __proto__: is not a setting/],
    ['a merge key', '<<: { port: 1 }', /^c\.yaml:1:1 <<: is not a setting/],
    ['an unknown tag', 'host: !!js/function "x"', /^c\.yaml:1:7 Unresolved tag/],
    ['a dangling alias', 'host: *nobody', 'c.yaml:1:7 Nothing before it is anchored as &nobody.'],
    ['two documents', 'port: 1\n---\nport: 2', /^c\.yaml:2:1 /],
    ['a list', '- port: 1', 'c.yaml:1:1 It must hold settings, such as port: 8080.'],
    ['mere text', 'port 8080', 'c.yaml:1:1 It must hold settings, such as port: 8080.'],
    ['an empty setting', 'port:', 'c.yaml:1:6 port: is empty; write a port from 0 to 65535'],
    ['yes for true', 'insecure: yes', 'c.yaml:1:11 insecure: must be true or false'],
    ['a text for a number', 'port: "80"', 'c.yaml:1:7 port: must be a port from 0 to 65535'],
    ['a number for a group', 'limits: 5', /^c\.yaml:1:9 limits: must be settings, such as/],
  ])('include %s', (_, yaml, expected) => {
    const told = faults(yaml);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(expected);
  });

  it('beside a repeated key are told as well', () => {
    expect(faults('port: x\nport: y\nlogLevel: loud').map((line) => line.split(' ')[0])).toEqual([
      'c.yaml:1:7',
      'c.yaml:2:1',
      'c.yaml:3:11',
    ]);
  });
});

describe('a file out of bounds', () => {
  it('is told when it is missing', () => {
    expect(faults(undefined, { COUNTERSIGN_CONFIG: 'nowhere.yaml' })).toEqual([
      "COUNTERSIGN_CONFIG: /srv/nowhere.yaml can't be read (ENOENT); name a readable YAML file, or unset it",
    ]);
  });

  it('is refused when it is a folder, too large or not UTF-8', () => {
    expect(faults(undefined, { COUNTERSIGN_CONFIG: '/' })[0]).toContain('(EISDIR)');
    expect(load(`#${' '.repeat(1024 * 1024 - 1)}`).port).toBe(8080);
    expect(faults(`#${' '.repeat(1024 * 1024)}`)[0]).toContain('larger than 1 MiB');
    expect(faults(Buffer.from('host: "\xff"', 'latin1'))[0]).toContain('not UTF-8');
  });

  it('is refused when its aliases multiply', () => {
    const rows = Array.from(
      { length: 9 },
      (_, i) => `a${i + 1}: &a${i + 1} [${Array(9).fill(`*a${i}`).join(', ')}]`,
    );
    expect(faults(`a0: &a0 [x]\n${rows.join('\n')}`)).toEqual([
      'c.yaml:1:1 Its aliases grow beyond measure; write the values out.',
    ]);
  });

  it.each([
    ['brackets', `host: ${'['.repeat(5000)}${']'.repeat(5000)}`],
    ['braces', `host: ${'{a: '.repeat(5000)}${'}'.repeat(5000)}`],
    ['dashes', `${'- '.repeat(5000)}x`],
    ['indentation', Array.from({ length: 1000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')],
  ])('is refused, and takes nothing with it, when %s nest too deep', (_, yaml) => {
    expect(faults(yaml)).toEqual(['c.yaml:1:1 It is nested more than 100 levels deep.']);
  });

  it('with very many keys is told in a moment, and not to the last key', () => {
    let told: readonly string[] = [];
    const spent = processorTime(() => {
      told = faults(Array.from({ length: 50_000 }, (_, i) => `k${i}: 1`).join('\n'));
    });
    expect(told).toHaveLength(201);
    expect(told.at(-1)).toBe('and 49800 more');
    expect(spent).toBeLessThan(20_000);
  });
});
