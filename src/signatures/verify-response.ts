/**
 * Verifying a response's signature (RFC 9421 section 2.4), the other half of `signResponse`: from the header fields
 * and the body to a `VerifiedResponse`, which only this file can make.
 * @module
 */
import type { KeyObject } from 'node:crypto';
import { CountersignError } from '../errors.ts';
import type { Component, ResponseMessage } from './components.ts';
import { readContentDigest, verifyContentDigest } from './content-digest.ts';
import { Fields } from './fields.ts';
import { verifyHmac } from './hmac.ts';
import { type Covered, coverComponents, signatureBase } from './signature-base.ts';
import {
  bearsSignature,
  type PresentedSignature,
  readSignature,
  type SignatureParameters,
} from './signature-input.ts';

declare const verified: unique symbol;

/** What the answer to one request must bear, so that it can't be the answer to any other. */
export interface ExpectedResponse {
  readonly keyid: string;
  /** The request's own. Fresh for each message, so a response that echoes it is no older than the request. */
  readonly nonce: string;
  /** What the request's signature covered; the response must cover each with `;req`. */
  readonly components: readonly Component[];
}

/** A response whose signature is well formed and covers what it must; nobody knows yet who made it. */
export interface PresentedResponse {
  readonly message: ResponseMessage;
  readonly presented: PresentedSignature;
  readonly covered: Covered;
  /** The signature base, for showing. */
  readonly base: string;
}

/** A response whose MAC and digest hold, made for the one request by whoever holds its key. */
export interface VerifiedResponse {
  readonly [verified]: true;
  readonly status: number;
  /** The covered fields alone: whatever else came along may have been put there by anybody on the way. */
  readonly fields: Fields;
  readonly body: Uint8Array;
  readonly parameters: SignatureParameters;
  readonly covered: Covered;
}

/**
 * Parses the signature with the response tag and holds it against the profile; needs no key.
 * @throws `response-unsigned` where there is none, `response-invalid` with the reason otherwise.
 */
export function presentResponse(message: ResponseMessage, expected: ExpectedResponse): PresentedResponse {
  if (!bearsSignature(message.fields)) {
    throw new CountersignError(
      'response-unsigned',
      `The answer (status ${message.status}) bears no signature: something between may have given it in the gateway's place.`,
    );
  }
  return asResponseFault(() => {
    const presented = readSignature(message.fields, 'countersign-response-v1');
    const { parameters, components, signatureParams } = presented;
    if (parameters.nonce !== expected.nonce) throw invalid('its nonce is not that of this request');
    if (parameters.keyid !== expected.keyid) throw invalid('its keyid is not that of this request');
    if (parameters.expires <= parameters.created) throw invalid('its "expires" does not lie after "created"');
    const ids = new Set(components.map(({ id }) => id));
    const demanded = ['"@status"', '"content-digest"', ...expected.components.map(({ id }) => `${id};req`)];
    const missing = demanded.find((id) => !ids.has(id));
    if (missing !== undefined) throw invalid(`its signature does not cover ${missing}`);
    const covered = coverComponents(components, message);
    return { message, presented, covered, base: signatureBase(covered, signatureParams) };
  });
}

/**
 * Compares the MAC in constant time, then the digest with the bytes that came.
 * @throws `response-invalid`
 */
export function verifyResponse(
  response: PresentedResponse,
  secret: KeyObject,
  body: Uint8Array,
): VerifiedResponse {
  const { message, presented, covered, base } = response;
  return asResponseFault(() => {
    if (!verifyHmac(secret, base, presented.signature) || presented.wrongAlgorithm) {
      throw invalid(
        'its signature does not hold. The status or a header field was changed on the way, or it was made with another secret or for another request',
      );
    }
    verifyContentDigest(readContentDigest(message.fields.get('content-digest') as string), body);
    return {
      status: message.status,
      fields: coveredFields(covered, message.fields),
      body,
      parameters: presented.parameters,
      covered,
    } as Omit<VerifiedResponse, typeof verified> as VerifiedResponse;
  });
}

/** A field of which the signature covers one dictionary member alone is not covered as a whole. */
function coveredFields(covered: Covered, fields: Fields): Fields {
  const kept = new Fields();
  for (const { name, ofRequest, form } of covered.components) {
    if (name.startsWith('@') || ofRequest || typeof form === 'object') continue;
    kept.set(name, fields.get(name) as string);
  }
  return kept;
}

/** The parser speaks of requests; whatever it finds wrong with an answer makes it one that can't be trusted. */
function asResponseFault<T>(judge: () => T): T {
  try {
    return judge();
  } catch (error) {
    if (!(error instanceof CountersignError) || error.code === 'response-invalid') throw error;
    if (error.code === 'digest-mismatch') throw invalid('its body is not the one that was signed', error);
    throw new CountersignError('response-invalid', `The answer can't be trusted. ${error.message}`, {
      cause: error,
    });
  }
}

function invalid(why: string, cause?: unknown): CountersignError {
  return new CountersignError('response-invalid', `The answer can't be trusted: ${why}.`, { cause });
}
