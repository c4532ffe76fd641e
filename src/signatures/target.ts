/**
 * Request targets that two readers could understand differently. The raw target is signed, matched and forwarded
 * as it stands, so whatever an upstream might decode or normalise into another path is refused.
 * @module
 */
import { CountersignError } from '../errors.ts';
import { pathOf } from './components.ts';

const MOST_TARGET = 8192;
/** Visible ASCII but for the backslash and "#": a fragment has no place in a request target. */
const ALLOWED = /^[\x21\x22\x24-\x5b\x5d-\x7e]+$/;
const PLAIN = /^(?:\/[A-Za-z0-9_~:@!$&'()*+,=-][A-Za-z0-9_.~:@!$&'()*+,=-]*)+\/?$/;
/** No URL's path may hold these unencoded (RFC 3986 section 3.3), and a WHATWG parser encodes them in silence. */
const ENCODED_IN_SILENCE = /["<>^`{}]/;
const ESCAPE = /%([0-9A-Fa-f]{2})?/g;
const UNRESERVED = /[A-Za-z0-9._~-]/;

/**
 * Refuses an ambiguous target with `target-ambiguous`.
 * @returns whether the path holds `%2f`, which a route may allow by name.
 */
export function checkTarget(target: string): { readonly encodedSlash: boolean } {
  if (!target.startsWith('/')) {
    throw ambiguous('it must be a path and a query (origin form), not a whole URL, an authority or *');
  }
  if (target.startsWith('//')) throw ambiguous('it begins with two slashes');
  if (target.length > MOST_TARGET) throw ambiguous(`it is longer than ${MOST_TARGET} bytes`);
  if (!ALLOWED.test(target)) throw ambiguous('it holds a backslash, a fragment or a byte outside 0x21-0x7E');
  const path = pathOf(target);
  if (path === '/' || PLAIN.test(path)) return { encodedSlash: false };
  const raw = ENCODED_IN_SILENCE.exec(path);
  if (raw) throw ambiguous(`its path holds ${raw[0]}, which must be percent-encoded`);

  let encodedSlash = false;
  for (const [encoded, hex] of path.matchAll(ESCAPE)) {
    if (hex === undefined) throw ambiguous('a "%" is not followed by two hex digits');
    const code = Number.parseInt(hex, 16);
    if (code === 0x2f) encodedSlash = true;
    else if (code === 0x00 || code === 0x25 || code === 0x5c) throw ambiguous(`it holds ${encoded}`);
    else if (UNRESERVED.test(String.fromCharCode(code))) {
      throw ambiguous(`${encoded} encodes "${String.fromCharCode(code)}", which needs no encoding`);
    }
  }
  const segments = path.replace(/%2f/gi, '/').replace(/%3b/gi, ';').split('/').slice(1);
  for (const [index, segment] of segments.entries()) {
    // Servlet containers drop what follows a ";" before they normalise.
    const name = segment.split(';', 1)[0];
    if (name === '.' || name === '..') throw ambiguous(`it has the segment "${segment}"`);
    const isLast = index === segments.length - 1;
    if (segment === '' ? !isLast : name === '') throw ambiguous('it has an empty segment');
  }
  return { encodedSlash };
}

function ambiguous(why: string): CountersignError {
  return new CountersignError('target-ambiguous', `The request target could be read in two ways: ${why}.`);
}
