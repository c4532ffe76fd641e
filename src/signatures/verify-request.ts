/**
 * Verifying a request's signature: from the header fields to a `VerifiedRequest`, which only this file can make.
 * @module
 */
import type { KeyObject } from 'node:crypto';
import { CountersignError } from '../errors.ts';
import type { RequestMessage } from './components.ts';
import type { Digests } from './content-digest.ts';
import { generateSecret, secretKey, verifyHmac } from './hmac.ts';
import { type CoveragePolicy, checkRequestProfile, type LifePolicy } from './request-profile.ts';
import { type Covered, coverComponents, maskedSignatureBase, signatureBase } from './signature-base.ts';
import {
  type PresentedSignature,
  readSignature,
  type SignatureParameters,
  type Tag,
} from './signature-input.ts';

declare const verified: unique symbol;

/** A request whose signature is well formed and allowed; nobody knows yet who made it. */
export interface PresentedRequest {
  readonly message: RequestMessage;
  readonly presented: PresentedSignature;
  readonly digests: Digests;
}

/** A request whose MAC holds. Its times, nonce and digest are still to be judged. */
export interface VerifiedRequest {
  readonly [verified]: true;
  readonly message: RequestMessage;
  readonly parameters: SignatureParameters;
  readonly covered: Covered;
  /** What the body must match; empty where the request covers no Content-Digest. */
  readonly digests: Digests;
  /** The key that the MAC was made with; its answer is signed with the same. */
  readonly secret: KeyObject;
}

/** Parses the signature with our tag and holds it against the profile; needs no key. */
export function presentRequest(
  message: RequestMessage,
  life: LifePolicy,
  coverage: CoveragePolicy,
  now: number,
  tag: Tag = 'countersign-request-v1',
): PresentedRequest {
  const presented = readSignature(message.fields, tag);
  return { message, presented, digests: checkRequestProfile(message, presented, life, coverage, now) };
}

/** A key that nobody holds: an unknown keyid costs the same MAC as a known one. */
const nobodysKey = secretKey(generateSecret());

/**
 * Compares the MAC in constant time.
 * @param secret undefined for an unknown keyid, which is refused as a bad MAC is.
 */
export function verifyRequest(request: PresentedRequest, secret: KeyObject | undefined): VerifiedRequest {
  const { message, presented, digests } = request;
  const covered = coverComponents(presented.components, message);
  const base = signatureBase(covered, presented.signatureParams);
  const holds = verifyHmac(secret ?? nobodysKey, base, presented.signature);
  if (!holds || secret === undefined || presented.wrongAlgorithm)
    throw signatureInvalid(message, covered, presented);
  return { message, parameters: presented.parameters, covered, digests, secret } as Omit<
    VerifiedRequest,
    typeof verified
  > as VerifiedRequest;
}

function signatureInvalid(
  message: RequestMessage,
  covered: Covered,
  presented: PresentedSignature,
): CountersignError {
  const members = message.fields.has('cookie')
    ? {}
    : { signatureBase: maskedSignatureBase(covered, presented.signatureParams) };
  return new CountersignError(
    'signature-invalid',
    'The signature does not hold: the keyid is unknown, the secret is another one, or something that is signed was changed on the way. Compare your signature base with signatureBase, line by line.',
    { members },
  );
}
