/**
 * `ID.json` of a certificate request: who asks, for what use, for which CSR, of which issuer, and until when. Its bytes
 * are what the requester signs, so they are judged as they came, and nothing is read out of them before the signature
 * holds but the name whose key must have made it.
 * @module
 */
import { createHash, verify } from 'node:crypto';
import { z } from 'zod';
import { CountersignError } from '../errors.ts';
import { colonText } from './fingerprint.ts';
import { refused } from './names.ts';
import { REQUESTER } from './profile.ts';
import type { Requester } from './requesters.ts';

/** Seconds that a request may live. */
const REQUEST_SECONDS = 24 * 3600;

/** Seconds that the requester's clock may be ahead of the issuer's: an offline box has no time server. */
const SKEW_SECONDS = 300;

const schema = z.strictObject({
  requester: z.string().regex(REQUESTER),
  use: z.enum(['server', 'client', 'both']),
  /** SHA-256 of the bytes of `ID.csr`, in hex. */
  csrSha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** SHA-256 of the DER of the root certificate that is asked, in hex. */
  issuer: z.string().regex(/^[0-9a-f]{64}$/),
  /** Epoch seconds, as is `expires`. */
  created: z.int().nonnegative(),
  expires: z.int().nonnegative(),
  /** Higher than that of every request that was made with the same key before. */
  sequence: z.int().nonnegative(),
});

export type RequestDocument = Readonly<z.infer<typeof schema>>;

/**
 * Reads the bytes of `ID.json`. `certificate-request-refused` for all that isn't exactly one such object: another
 * member, a missing one, a repeated one, bytes that are not UTF-8.
 */
export function parseRequestDocument(bytes: Buffer): RequestDocument {
  let value: unknown;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
    refuseRepeated(text, value);
  } catch (error) {
    if (error instanceof CountersignError) throw error;
    throw refused('ID.json is not JSON in UTF-8.');
  }
  const { data, error } = schema.safeParse(value);
  if (data) return data;
  const [issue] = error.issues;
  throw refused(`ID.json: ${[...(issue?.path ?? []), issue?.message].join(': ')}`);
}

/**
 * JSON.parse() lets the last of two members of one name win, and another reader the first. No member holds text that
 * could look like a member, so counting the quotes is enough.
 */
function refuseRepeated(text: string, value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  const texts = Object.values(value).filter((each) => typeof each === 'string');
  const quotes = text.split('"').length - 1;
  if (quotes !== 2 * (Object.keys(value).length + texts.length)) {
    throw refused('ID.json has a member twice, or text that no member of it can hold.');
  }
}

/** `certificate-request-refused` unless the requester's key has signed these bytes. @param signature in base64. */
export function verifyRequestSignature(document: Buffer, signature: Buffer, { key, name }: Requester): void {
  const text = signature.toString('latin1').trimEnd();
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== 64 || bytes.toString('base64') !== text) {
    throw refused('ID.sig is not an Ed25519 signature in base64.');
  }
  if (!verify(null, document, key, bytes)) {
    throw refused(`ID.sig was not made over ID.json with the request key of ${name}.`);
  }
}

export interface Expectations {
  /** The bytes of `ID.csr`. */
  readonly csr: Buffer;
  /** SHA-256 of the DER of each root that may be asked, in hex. */
  readonly issuers: ReadonlySet<string>;
  /** Epoch seconds. */
  readonly now: number;
}

/** `certificate-request-refused` where the document is for another CSR, another issuer or another time. */
export function checkRequestDocument(document: RequestDocument, { csr, issuers, now }: Expectations): void {
  const { csrSha256, created, expires } = document;
  if (csrSha256 !== createHash('sha256').update(csr).digest('hex')) {
    throw refused('ID.csr is not the one that ID.json was made for.');
  }
  if (!issuers.has(document.issuer)) {
    throw refused(
      `It asks the issuer ${colonText(document.issuer)}, and this one is ${[...issuers].map(colonText).join(' and ')}.`,
    );
  }
  if (expires <= created || expires - created > REQUEST_SECONDS) {
    throw refused('It must expire after it was created, within 24 h.');
  }
  if (created > now + SKEW_SECONDS) {
    throw refused(`It was created at ${iso(created)}, which lies ahead of this box's clock.`);
  }
  if (now >= expires) throw refused(`It expired at ${iso(expires)}.`);
}

function iso(seconds: number): string {
  const time = new Date(seconds * 1000);
  return Number.isNaN(time.getTime()) ? String(seconds) : time.toISOString();
}
