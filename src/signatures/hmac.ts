/**
 * HMAC-SHA-256 over a signature base (RFC 9421 section 3.3.3), and keys for it.
 * @module
 */
import { createHmac, createSecretKey, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto';
import { CountersignError } from '../errors.ts';

const SECRET_BYTES = 64;
/** A MAC is no stronger than its key: as many bytes as SHA-256 gives (RFC 2104 section 3). */
const LEAST_SECRET_BYTES = 32;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/** A new shared secret: 64 random bytes. */
export function generateSecret(): Buffer {
  return randomBytes(SECRET_BYTES);
}

/** @param secret base64 (padded or not) or bytes, at least 32 of them; `credentials-invalid` otherwise. */
export function secretKey(secret: string | Uint8Array): KeyObject {
  const bytes = typeof secret === 'string' ? decodeBase64(secret) : Buffer.from(secret);
  if (bytes.length < LEAST_SECRET_BYTES) {
    throw new CountersignError(
      'credentials-invalid',
      `The secret has ${bytes.length} bytes; at least ${LEAST_SECRET_BYTES} are needed. Take it as it was issued, in base64.`,
    );
  }
  return createSecretKey(bytes);
}

function decodeBase64(text: string): Buffer {
  if (!BASE64.test(text)) {
    throw new CountersignError(
      'credentials-invalid',
      'The secret is not base64; copy it again as it was issued.',
    );
  }
  return Buffer.from(text, 'base64');
}

export function hmacSha256(key: KeyObject, base: string): Buffer {
  return createHmac('sha256', key).update(base).digest();
}

/** Compares in constant time. A signature of another length never matches. */
export function verifyHmac(key: KeyObject, base: string, signature: Buffer): boolean {
  const expected = hmacSha256(key, base);
  return signature.length === expected.length && timingSafeEqual(expected, signature);
}
