/**
 * The forms that a value takes when somebody on the way, or a signer that reads the RFC differently, changes it. Each
 * is tried against the gateway's value, against its length where it is masked, and against the MAC itself.
 * @module
 */

import { pathOf } from '../../signatures/components.ts';
import { contentDigest } from '../../signatures/content-digest.ts';
import { trim } from '../../signatures/fields.ts';
import type { FoundCause } from './cause.ts';

export interface Variant {
  readonly code: FoundCause;
  readonly value: string;
  /** How it differs from what the file holds; completes "The gateway got it …" and "The signer signed it …". */
  readonly how: string;
}

/** @param lines the values of one field, untrimmed, in their order. */
export function fieldVariants(lines: readonly string[]): Variant[] {
  const combined = lines.map(trim).join(', ');
  const found: Variant[] = [
    { code: 'header-trimmed', value: lines.join(', '), how: 'with the spaces around it' },
    { code: 'header-trimmed', value: combined.replace(/[ \t]+/g, ' '), how: 'with runs of spaces made one' },
    {
      code: 'header-joined',
      value: combined.replace(/[ \t]*,[ \t]*/g, ','),
      how: 'joined by a comma without a space',
    },
    {
      code: 'header-joined',
      value: combined.replace(/[ \t]*,[ \t]*/g, ', '),
      how: 'with a space after every comma',
    },
    {
      code: 'header-trimmed',
      value: combined.replace(/[ \t]*;[ \t]*/g, ';'),
      how: 'without the spaces after ";"',
    },
    {
      code: 'header-trimmed',
      value: combined.replace(/[ \t]*;[ \t]*/g, '; '),
      how: 'with a space after each ";"',
    },
    { code: 'header-changed', value: combined.toLowerCase(), how: 'in lower case' },
    {
      code: 'header-changed',
      value: combined.replace(/;[ \t]*charset=[^;]*/i, ''),
      how: 'without its charset',
    },
  ];
  if (lines.length > 1) {
    const [first = '', last = ''] = [lines[0], lines.at(-1)];
    found.push(
      { code: 'header-joined', value: trim(first), how: 'with the first of its lines alone' },
      { code: 'header-joined', value: trim(last), how: 'with the last of its lines alone' },
      { code: 'header-joined', value: lines.map(trim).join('; '), how: 'joined by semicolons' },
      { code: 'header-joined', value: lines.map(trim).reverse().join(', '), how: 'in the reverse order' },
    );
  }
  return found.filter(({ value }) => value !== combined);
}

/** Targets that mean the same to many a parser. */
export function targetVariants(target: string): Variant[] {
  const path = pathOf(target);
  const query = target.slice(path.length);
  const escapes = (value: string, how: string): Variant => ({
    code: 'path-escapes-changed',
    value: value + query,
    how,
  });
  const found: Variant[] = [
    escapes(
      path.replace(/%[0-9a-f]{2}/gi, (each) => each.toUpperCase()),
      'with escapes in capitals',
    ),
    escapes(
      path.replace(/%[0-9a-f]{2}/gi, (each) => each.toLowerCase()),
      'with escapes in small letters',
    ),
    escapes(decodeOnly(path, /[A-Za-z0-9._~-]/), 'with letters unescaped that need no escape'),
    escapes(decodeOnly(path, /[!-.0-~]/), 'with every escape decoded but %2F'),
    escapes(decodeOnly(path, /[!-~]/), 'with every escape decoded'),
    escapes(encodeOnly(path, /~/g), 'with "~" escaped'),
    escapes(encodeOnly(path, /[!'()*]/g), "with !'()* escaped"),
    escapes(encodeOnly(path, /[!$&'()*+,;=:@]/g), "with !$&'()*+,;=:@ escaped"),
    escapes(encodeOnly(path, /[!$&'()*+,;=:@~]/g), "with !$&'()*+,;=:@~ escaped"),
    { code: 'path-changed', value: normalised(path) + query, how: 'as a URL parser normalises it' },
    { code: 'path-changed', value: toggleSlash(path) + query, how: 'with a slash at the end more or less' },
    { code: 'query-missing', value: path, how: 'without its query' },
    { code: 'query-missing', value: `${path}?`, how: 'with an empty query, a bare "?"' },
    {
      code: 'query-changed',
      value: path + query.replaceAll('+', '%20'),
      how: 'with %20 for "+" in its query',
    },
    {
      code: 'query-changed',
      value: path + query.replaceAll('%20', '+'),
      how: 'with "+" for %20 in its query',
    },
    { code: 'query-changed', value: path + sorted(query), how: 'with its query sorted' },
    { code: 'query-changed', value: path + decodeOnly(query, /[!-~]/), how: 'with its query decoded' },
    {
      code: 'query-changed',
      value: path + (query && `?${new URLSearchParams(query)}`),
      how: 'with its query encoded anew as a form',
    },
  ];
  return found.filter(({ value }) => value !== target);
}

function decodeOnly(text: string, what: RegExp): string {
  return text.replace(/%([0-9a-f]{2})/gi, (whole, hex: string) => {
    const character = String.fromCharCode(Number.parseInt(hex, 16));
    return what.test(character) ? character : whole;
  });
}

function encodeOnly(text: string, what: RegExp): string {
  return text.replace(what, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`);
}

function normalised(path: string): string {
  const url = `http://localhost${path}`;
  return path.startsWith('/') && URL.canParse(url) ? new URL(url).pathname : path;
}

const toggleSlash = (path: string) => (path.endsWith('/') ? path.slice(0, -1) : `${path}/`);
const sorted = (query: string) => query && `?${query.slice(1).split('&').sort().join('&')}`;

/** Two paths that a decoder makes one. */
export function sameButForEscapes(a: string, b: string): boolean {
  return decodeOnly(a, /[\s\S]/) === decodeOnly(b, /[\s\S]/);
}

/** The digests of a body's usual other forms, as a client that serialises twice makes them. */
export function digestVariants(body: Buffer): Variant[] {
  const found: [how: string, value: string | Buffer][] = [['empty', '']];
  const text = body.toString();
  found.push(['without the line break at its end', text.replace(/\r?\n$/, '')]);
  found.push(['with a line break at its end', `${text}\n`]);
  found.push(['with LF for CRLF', text.replaceAll('\r\n', '\n')]);
  found.push(['with CRLF for LF', text.replace(/\r?\n/g, '\r\n')]);
  found.push(['in Latin-1 rather than UTF-8', Buffer.from(text, 'latin1')]);
  for (const [how, form] of jsonForms(text)) found.push([how, form]);
  return found.map(([how, value]) => ({ code: 'body-changed', value: contentDigest(value), how }));
}

/** A body that is longer isn't serialised again and again. */
const MOST_JSON = 1024 * 1024;

function jsonForms(text: string): [how: string, value: string][] {
  if (text.length > MOST_JSON) return [];
  try {
    const value: unknown = JSON.parse(text);
    const compact = JSON.stringify(value);
    return [
      ['as JSON without spaces', compact],
      ['as JSON indented by two spaces', JSON.stringify(value, null, 2)],
      ['as JSON indented by four spaces', JSON.stringify(value, null, 4)],
      ['as JSON with a space after commas and colons', spaced(compact)],
      ['as JSON with its members sorted', JSON.stringify(sortMembers(value))],
      ['as a string of JSON inside JSON', JSON.stringify(text)],
    ];
  } catch {
    // No JSON, or so deep that it can't be written again.
    return [];
  }
}

/** As Python's json.dumps writes it. */
function spaced(compact: string): string {
  return compact.replace(
    /("(?:[^"\\]|\\.)*")|([,:])/g,
    (_, quoted?: string, mark = '') => quoted ?? `${mark} `,
  );
}

function sortMembers(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(sortMembers);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([name, member]) => [name, sortMembers(member)]));
}
