/** The README's chapter "In production" speaks of what there is. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FOLLOWED } from '../../src/config/reload.ts';
import { root } from '../e2e/built.ts';

const readme = readFileSync(join(root, 'README.md'), 'utf8');
const chapter = /\n## In production\n(.*?)\n## /s.exec(readme)?.[1] ?? '';
const names = (pattern: RegExp) => [
  ...new Set(Array.from(chapter.matchAll(pattern), ([, name = '']) => name)),
];

it('names files that are there', () => {
  const files = names(/`(scripts\/[\w.]+)`/g);
  expect(files).toHaveLength(3);
  for (const file of files) expect(existsSync(join(root, file))).toBe(true);
});

it('names metrics that there are', () => {
  const metrics = readFileSync(join(root, 'src/gateway/metrics.ts'), 'utf8');
  const named = names(/`(countersign_\w+)`/g);
  expect(named.length).toBeGreaterThan(3);
  for (const name of named) expect(metrics).toContain(`name: '${name}'`);
});

it('names commands that there are', () => {
  const table = /\n## Commands\n(.*?)\n## /s.exec(readme)?.[1] ?? '';
  for (const command of names(/(?:`|^ {4})countersign ([a-z]+(?: [a-z]+)?)/gm)) {
    expect(table).toMatch(new RegExp(`\`${command.split(' ')[0]}[ \`]`));
  }
});

it('names every setting that a reload follows', () => {
  const [, list = ''] = /follows (.*?)\s+at once/s.exec(chapter) ?? [];
  const told = Array.from(list.matchAll(/`(\w+)`/g), ([, name]) => name);
  // What is grantable is written under roles.
  expect(told.toSorted()).toEqual(FOLLOWED.filter((name) => !name.startsWith('grantable')).toSorted());
});

it('shows the settings that the proxies of scripts/ ask for', () => {
  for (const file of ['scripts/nginx.conf', 'scripts/Caddyfile']) {
    const text = readFileSync(join(root, file), 'utf8');
    for (const line of ['origins: [https://api.example.com]', 'trustedProxies: [127.0.0.1]']) {
      expect(text).toContain(line);
      expect(chapter).toContain(line);
    }
  }
});
