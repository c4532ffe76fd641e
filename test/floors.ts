/**
 * The rules of the house: which floor a room of src/ stands on, what it may import, and what stands in one place.
 * A function over sources, so that a test can show that it fails.
 * @module
 */
import { posix } from 'node:path';

/** A file of src/, by its path below it, such as `replay/fence.ts`. */
export type Sources = ReadonlyMap<string, string>;

/** Imports run downward only; rooms of one floor may import each other. */
export const floors: Readonly<Record<string, number>> = {
  errors: 0,
  clock: 0,
  config: 1,
  signatures: 1,
  security: 1,
  consumers: 2,
  replay: 2,
  idempotency: 2,
  limits: 2,
  accounts: 2,
  audit: 2,
  issuer: 2,
  storage: 3,
  client: 3,
  gateway: 4,
  console: 5,
  services: 5,
  cli: 6,
  main: 6,
  index: 6,
  testing: 6,
};

/** Rooms that may import nothing of src/ but these rooms and themselves. */
export const confined: Readonly<Record<string, readonly string[]>> = {
  config: ['errors', 'clock', 'signatures'],
  signatures: ['errors'],
  client: ['errors', 'signatures'],
};

/** Rooms that import no package at all, so that they can be lifted out. */
export const withoutPackages: readonly string[] = ['errors', 'clock', 'signatures', 'client'];

/** A package, and the one place (a file, or a folder that ends in a slash) where it is imported. */
export const places: Readonly<Record<string, string>> = {
  'better-sqlite3': 'storage/sqlite/database.ts',
  undici: 'gateway/upstream/',
  'node-forge': 'issuer/',
  otplib: 'accounts/',
  nodemailer: 'accounts/mail-smtp.ts',
  '@node-rs/argon2': 'accounts/password.ts',
  jose: 'accounts/',
  'koa-body': 'gateway/form-body.ts',
  'node-cron': 'issuer/',
  ioredis: 'storage/redis/',
  pg: 'storage/postgres/',
  postgres: 'storage/postgres/',
};

/** Packages that one room must never meet. */
const forbidden: Readonly<Record<string, readonly string[]>> = { issuer: ['koa'] };

/** Built-in modules that open sockets. */
const NETWORK = ['net', 'http', 'https', 'http2', 'dns', 'dns/promises', 'dgram', 'tls'];

/** Rooms that open none, and the one file of each that may import TLS: for a handshake in memory. */
const offline: Readonly<Record<string, string>> = { issuer: 'issuer/rehearsal.ts' };

/** Of these, one file alone imports each, wherever in its place that is. */
const oneFile = ['better-sqlite3', 'node-forge', 'otplib', 'ioredis', 'pg', 'postgres'];

const ENVIRONMENT = [
  /\bprocess\??\.\s*env\b/,
  /\bprocess\s*\??\.?\[/,
  /\}\s*=\s*(?:globalThis\.)?process\b/,
  /^\s*import\b[^;]*\benv\b[^;]*from\s*['"](?:node:)?process['"]/m,
];

/** Every rule that these sources break, as sentences; none where they hold. */
export function faults(sources: Sources): string[] {
  const found: string[] = [];
  const importers = new Map<string, string[]>();
  for (const [file, source] of sources) {
    const room = roomOf(file);
    if (floors[room] === undefined) found.push(`${file}: the room "${room}" stands on no floor`);
    const code = withoutComments(source);
    if (/\brequire\s*\(|\bcreateRequire\b/.test(code)) found.push(`${file}: uses require()`);
    if (/\bimport\s*\(\s*[^'"\s]/.test(code)) found.push(`${file}: imports something computed`);
    if (room !== 'config' && ENVIRONMENT.some((pattern) => pattern.test(code))) {
      found.push(`${file}: reads the environment outside config/`);
    }
    for (const specifier of importsOf(code)) {
      if (specifier.startsWith('node:')) found.push(...networkFaults(file, specifier));
      else if (specifier.startsWith('.')) found.push(...innerFaults(file, specifier));
      else {
        const name = packageOf(specifier);
        found.push(...packageFaults(file, name));
        importers.set(name, [...(importers.get(name) ?? []), file]);
      }
    }
  }
  for (const name of oneFile) {
    const files = new Set(importers.get(name));
    if (files.size > 1) found.push(`${name}: imported by ${[...files].sort().join(' and ')}`);
  }
  return found;
}

/** The packages that these sources import, without the built-in ones. */
export function packagesOf(sources: Sources): Set<string> {
  const names = new Set<string>();
  for (const source of sources.values()) {
    for (const specifier of importsOf(withoutComments(source))) {
      if (!specifier.startsWith('.') && !specifier.startsWith('node:')) names.add(packageOf(specifier));
    }
  }
  return names;
}

function networkFaults(file: string, specifier: string): string[] {
  const handshake = offline[roomOf(file)];
  const name = specifier.slice('node:'.length);
  if (handshake === undefined || !NETWORK.includes(name) || (name === 'tls' && file === handshake)) return [];
  return [`${file}: imports ${specifier}, though ${roomOf(file)} opens no socket`];
}

function innerFaults(file: string, specifier: string): string[] {
  const target = posix.join(posix.dirname(file), specifier);
  if (target.startsWith('..')) return [`${file}: imports ${specifier}, which is outside src/`];
  const found: string[] = [];
  const [from, to] = [roomOf(file), roomOf(target)];
  if ((floors[to] ?? 0) > (floors[from] ?? 0)) {
    found.push(`${file}: floor ${floors[from]} imports ${target} of floor ${floors[to]}`);
  }
  const allowed = confined[from];
  if (allowed && to !== from && !allowed.includes(to)) {
    found.push(`${file}: ${from} may import ${allowed.join(', ')} alone, not ${target}`);
  }
  return found;
}

function packageFaults(file: string, name: string): string[] {
  const found: string[] = [];
  const room = roomOf(file);
  if (withoutPackages.includes(room)) found.push(`${file}: ${room} imports the package ${name}`);
  if (forbidden[room]?.includes(name)) found.push(`${file}: ${room} must never import ${name}`);
  const place = places[name];
  if (place && !(place.endsWith('/') ? file.startsWith(place) : file === place)) {
    found.push(`${file}: imports ${name}, whose one place is ${place}`);
  }
  return found;
}

/** `replay/fence.ts` lies in replay, `main.ts` in main. */
function roomOf(file: string): string {
  return (file.split('/')[0] as string).replace(/\.ts$/, '');
}

function packageOf(specifier: string): string {
  const parts = specifier.split('/');
  return parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
}

/** Imports of types count as well: a type that comes from above is a dependency too. */
function importsOf(code: string): string[] {
  const patterns = [
    /^\s*(?:import|export)\b[^;'"]*?\bfrom\s*['"]([^'"]+)['"]/gm,
    /^\s*import\s*['"]([^'"]+)['"]/gm,
    /\bimport\s*\(\s*['"]([^'"]+)['"]/g,
  ];
  return patterns.flatMap((pattern) => [...code.matchAll(pattern)].map(([, name]) => name as string));
}

/** The formatter sees to it that a comment which fills a line begins it. */
function withoutComments(source: string): string {
  return source.replace(/^\s*\/\*[\s\S]*?\*\//gm, '').replace(/^\s*\/\/.*$/gm, '');
}
