/** The floors of src/, held by a walk over every import of it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import manifest from '../package.json' with { type: 'json' };
import { confined, faults, floors, packagesOf, places, type Sources } from './floors.ts';

const root = join(import.meta.dirname, '..', 'src');
const sources: Sources = new Map(
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.[cm]?[jt]sx?$/.test(file))
    .map((file) => [file.replaceAll('\\', '/'), readFileSync(join(root, file), 'utf8')]),
);
const used = packagesOf(sources);

describe('the house', () => {
  it('is walked whole', () => {
    expect(sources.size).toBeGreaterThan(30);
    expect(sources.has('errors.ts') && sources.has('storage/sqlite/database.ts')).toBe(true);
    expect(used).toContain('better-sqlite3');
  });

  it('breaks none of its rules', () => {
    expect(faults(sources)).toEqual([]);
  });

  it('imports only packages that it declares as dependencies', () => {
    expect([...used].filter((name) => !(name in manifest.dependencies))).toEqual([]);
  });

  // A rule about a package that nothing imports yet holds emptily: its line says so.
  it.each(
    Object.entries(places).map(([name, place]) => [name, place, used.has(name) ? '' : ' (not imported yet)']),
  )('imports %s in %s alone%s', (name) => {
    expect(faults(sources).filter((fault) => fault.includes(name))).toEqual([]);
  });
});

/** Sources of a made-up house: what is imported stands there too. */
function house(file: string, source: string): Sources {
  const rooms = Object.keys(floors).map((room): [string, string] => [`${room}/room.ts`, '']);
  return new Map([...rooms, ['errors.ts', ''], ['clock.ts', ''], [file, source]]);
}

describe('the checker refuses', () => {
  it.each([
    ['an import that runs upward', 'consumers/a.ts', `import { x } from '../storage/room.ts';`],
    ['the same of a type', 'consumers/a.ts', `import type { X } from '../gateway/room.ts';`],
    ['the same over lines', 'replay/a.ts', `import {\n  x,\n  y,\n} from '../storage/room.ts';`],
    ['the same as an export', 'storage/a.ts', `export * from '../gateway/room.ts';`],
    ['the same for its effect alone', 'storage/a.ts', `import '../gateway/room.ts';`],
    ['the same at run time', 'storage/a.ts', `const x = await import('../gateway/room.ts');`],
    ['the same as a type expression', 'storage/a.ts', `let x: import('../gateway/room.ts').X;`],
    ['the lowest floor looking up', 'errors.ts', `import { x } from './config/room.ts';`],
    ['everybody importing the composition root', 'gateway/a.ts', `import { x } from '../main/room.ts';`],
    ['something computed', 'cli/a.ts', 'await import(name);'],
    ['a require', 'cli/a.ts', `const x = require('koa');`],
    ['a room without a floor', 'helpers/a.ts', ''],
    ['a way out of src/', 'cli/a.ts', `import { x } from '../../test/floors.ts';`],
    ['signatures with a package', 'signatures/a.ts', `import { z } from 'zod';`],
    ['signatures with a neighbour', 'signatures/a.ts', `import { x } from '../security/room.ts';`],
    ['the client with a package', 'client/a.ts', `import { z } from 'zod';`],
    ['the client with a room below', 'client/a.ts', `import { x } from '../consumers/room.ts';`],
    ['config with a room of its floor', 'config/a.ts', `import { x } from '../security/room.ts';`],
    ['SQLite in another file', 'storage/sqlite/meta.ts', `import Sqlite from 'better-sqlite3';`],
    ['undici outside upstream/', 'gateway/app.ts', `import { Pool } from 'undici';`],
    ['a part of undici outside upstream/', 'cli/a.ts', `import Pool from 'undici/lib/pool.js';`],
    ['node-forge outside the issuer', 'gateway/a.ts', `import forge from 'node-forge';`],
    ['otplib outside accounts', 'gateway/a.ts', `import { totp } from 'otplib';`],
    ['ioredis outside its adapter', 'limits/a.ts', `import Redis from 'ioredis';`],
    ['the Postgres driver outside its adapter', 'audit/a.ts', `import pg from 'pg';`],
    ['koa in the issuer', 'issuer/a.ts', `import Koa from 'koa';`],
    ['the issuer importing the gateway', 'issuer/a.ts', `import { x } from '../gateway/room.ts';`],
    ['the issuer with undici', 'issuer/a.ts', `import { Agent } from 'undici';`],
    ['the issuer with a socket', 'issuer/a.ts', `import { isIP } from 'node:net';`],
    ['the issuer with HTTP', 'issuer/a.ts', `import { get } from 'node:https';`],
    [
      'the issuer with names that are looked up',
      'issuer/a.ts',
      `import { lookup } from 'node:dns/promises';`,
    ],
    ['the issuer with TLS but for its rehearsal', 'issuer/leaf.ts', `import { connect } from 'node:tls';`],
    ['the environment read outside config/', 'gateway/a.ts', 'const port = process.env.PORT;'],
    ['the same by an optional chain', 'gateway/a.ts', 'const port = process?.env.PORT;'],
    ['the same by its name', 'gateway/a.ts', `const port = process['env'].PORT;`],
    ['the same taken apart', 'gateway/a.ts', 'const { env } = process;'],
    ['the same by an import', 'gateway/a.ts', `import { env } from 'node:process';`],
  ])('%s', (_what, file, source) => {
    expect(faults(house(file, source))).toEqual([expect.stringContaining(`${file}: `)]);
  });

  it('a second file that imports what one file alone may', () => {
    const both = new Map([
      ...house('issuer/a.ts', `import forge from 'node-forge';`),
      ...house('issuer/b.ts', `import forge from 'node-forge';`),
    ]);
    expect(faults(both)).toEqual(['node-forge: imported by issuer/a.ts and issuer/b.ts']);
  });
});

describe('the checker lets through', () => {
  it.each([
    ['imports that run downward', 'gateway/a.ts', `import { x } from '../storage/room.ts';`],
    ['rooms of one floor', 'consumers/a.ts', `import { x } from '../replay/room.ts';`],
    ['built-in modules', 'signatures/a.ts', `import { createHmac } from 'node:crypto';`],
    ['TLS in the rehearsal', 'issuer/rehearsal.ts', `import { connect } from 'node:tls';`],
    ['a socket elsewhere', 'gateway/a.ts', `import { isIP } from 'node:net';`],
    ['SQLite in its place', 'storage/sqlite/database.ts', `import Sqlite from 'better-sqlite3';`],
    ['undici in its place', 'gateway/upstream/a.ts', `import { Pool } from 'undici';`],
    ['the environment in config/', 'config/a.ts', 'const port = process.env.PORT;'],
    ['a comment about it', 'gateway/a.ts', `/** Not from process.env. */\n// import x from 'undici'`],
    ['a word that begins alike', 'gateway/a.ts', 'const important = imports.from;'],
  ])('%s', (_what, file, source) => {
    expect(faults(house(file, source))).toEqual([]);
  });

  it('nothing that its tables forget: every confined room has a floor', () => {
    for (const [room, allowed] of Object.entries(confined)) {
      for (const name of [room, ...allowed]) expect(floors).toHaveProperty(name);
    }
  });
});
