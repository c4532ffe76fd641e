/**
 * Content-Digest (RFC 9530).
 * @module
 */
import { hash, timingSafeEqual } from 'node:crypto';
import { CountersignError } from '../errors.ts';
import { isInnerList, parseDictionary } from './structured-fields.ts';

/** The algorithms of RFC 9530 that are still sound, and Node's names for them. */
const ALGORITHMS: Readonly<Record<string, string>> = { 'sha-256': 'sha256', 'sha-512': 'sha512' };

/** `sha-256` only, as it is written for messages of our own. */
const PLAIN = /^sha-256=:([A-Za-z0-9+/]{43}=):$/;

/** A field value for these bytes, such as `sha-256=:…:`. */
export function contentDigest(body: string | Uint8Array): string {
  return `sha-256=:${hash('sha256', body, 'base64')}:`;
}

export type Digests = ReadonlyMap<string, Buffer>;

/** Reads a Content-Digest field; refuses one without a sound algorithm, or with any other beside it. */
export function readContentDigest(value: string): Digests {
  const plain = PLAIN.exec(value);
  if (plain) return new Map([['sha-256', Buffer.from(plain[1] as string, 'base64')]]);
  const digests = new Map<string, Buffer>();
  for (const [algorithm, member] of parseDictionary(value)) {
    if (!Object.hasOwn(ALGORITHMS, algorithm)) {
      throw new CountersignError(
        'signature-policy',
        `Content-Digest bears "${algorithm}"; use sha-256 or sha-512 and no other.`,
      );
    }
    if (isInnerList(member.value) || member.value.bare.type !== 'binary') {
      throw new CountersignError('signature-malformed', `The digest "${algorithm}" is not a byte sequence.`);
    }
    digests.set(algorithm, member.value.bare.value);
  }
  if (digests.size === 0) {
    throw new CountersignError('signature-policy', 'Content-Digest is empty; send sha-256 or sha-512.');
  }
  return digests;
}

/** Checks every digest that is present; `digest-mismatch` where one differs. */
export function verifyContentDigest(digests: Digests, body: Uint8Array): void {
  for (const [algorithm, expected] of digests) {
    const actual = Buffer.from(hash(ALGORITHMS[algorithm] as string, body, 'base64'), 'base64');
    if (actual.length !== expected.length || !timingSafeEqual(actual, expected)) {
      throw new CountersignError(
        'digest-mismatch',
        `The body's ${algorithm} is not the one that was signed; the body was changed after it was signed. Sign the bytes that are sent.`,
      );
    }
  }
}
