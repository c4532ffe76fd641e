/**
 * What the profile demands of a signed request: which components must be covered, for how long it lives.
 * Pure; the README's wire section explains each rule.
 * @module
 */
import { CountersignError } from '../errors.ts';
import type { Component, RequestMessage } from './components.ts';
import { pathOf } from './components.ts';
import { type Digests, readContentDigest } from './content-digest.ts';
import { comparableName } from './fields.ts';
import type { PresentedSignature } from './signature-input.ts';

/** Seconds, both. */
export interface LifePolicy {
  /** The longest `expires - created`. */
  readonly maxLife: number;
  /** How far the clocks of both sides may stand apart. */
  readonly skew: number;
}

export interface CoveragePolicy {
  /** Whether conditional, range and preference fields must be covered where present. */
  readonly conditions: boolean;
}

/** `created` further ahead than this is no clock's mistake, and would make its nonce a guest for days. */
const FURTHEST_AHEAD = 24 * 3600;

const COVERED_WHERE_PRESENT = ['content-encoding', 'idempotency-key', 'authorization', 'countersign-narrow'];
const CONDITIONS = /^(if-.*|range|prefer)$/;
/** Signing the signature fields themselves proves nothing (RFC 9421 section 7.3.7). */
const NEVER_COVERED = new Set(['signature', 'signature-input']);

/** Whether the message announces a body, before any of it is read. */
export function announcesBody(message: RequestMessage): boolean {
  const length = message.fields.get('content-length');
  return message.fields.has('transfer-encoding') || (length !== undefined && !/^0+$/.test(length));
}

/**
 * Checks coverage and life before the key is looked at. Returns the digests that the body will be held against;
 * an empty map where no Content-Digest is covered.
 */
export function checkRequestProfile(
  message: RequestMessage,
  presented: PresentedSignature,
  life: LifePolicy,
  coverage: CoveragePolicy,
  now: number,
): Digests {
  const covered = new Set<string>();
  for (const component of presented.components) {
    checkComponent(component);
    covered.add(component.id);
  }
  const has = (name: string) => covered.has(`"${name}"`);
  const demand = (name: string, why: string) => {
    if (!has(name)) throw policy(`The signature must cover "${name}"${why}`);
  };

  demand('@method', '');
  if (!has('@target-uri')) {
    for (const name of ['@scheme', '@authority', '@path', '@query']) {
      demand(name, ', or "@target-uri" in place of @scheme, @authority, @path and @query');
    }
    if (message.target.endsWith('?') && pathOf(message.target).length === message.target.length - 1) {
      throw policy(
        'An empty query can\'t be told from none by "@query"; cover "@target-uri", or drop the "?"',
      );
    }
  }
  const { fields } = message;
  if (announcesBody(message)) {
    if (!fields.has('content-digest')) throw policy('A request with a body needs a Content-Digest field');
    demand('content-digest', ', since the request has a body');
    if (!fields.has('content-type')) throw policy('A request with a body needs a Content-Type field');
    demand('content-type', ', since the request has a body');
  } else if (fields.has('content-digest')) demand('content-digest', ', which is present');
  for (const name of COVERED_WHERE_PRESENT) {
    if (fields.has(name)) demand(name, ', which is present');
  }
  for (const name of fields.names()) {
    if (name === 'countersign-narrow') continue;
    if (comparableName(name).startsWith('countersign-')) {
      throw policy(`The field ${name} is the gateway's own to send; leave it out`);
    }
    if (coverage.conditions && CONDITIONS.test(name)) demand(name, ', which is present');
  }

  const { created, expires } = presented.parameters;
  if (expires <= created) throw policy('"expires" must lie after "created"');
  if (expires - created > life.maxLife) {
    throw policy(`The signature would live ${expires - created} s; sign for at most ${life.maxLife} s`);
  }
  if (created - now > FURTHEST_AHEAD) {
    throw policy(`"created" lies more than 24 h ahead; is it in seconds, and is the clock right?`);
  }
  const digest = fields.get('content-digest');
  return digest === undefined ? new Map() : readContentDigest(digest);
}

function checkComponent(component: Component): void {
  if (component.ofRequest || component.name === '@status') {
    throw policy(`${component.id} is for responses; leave it out of a request's signature`);
  }
  if (NEVER_COVERED.has(component.name)) throw policy(`${component.id} can't be covered; leave it out`);
}

/**
 * Judges the times of a request whose MAC holds.
 * @returns the refusal that it deserves, or undefined where it is acceptable.
 */
export function judgeTimes(
  parameters: { readonly created: number; readonly expires: number },
  life: LifePolicy,
  now: number,
): CountersignError | undefined {
  if (now > parameters.expires + life.skew) return signatureExpired(now);
  if (parameters.created > now + life.skew) {
    return new CountersignError(
      'clock-skew',
      `"created" lies ${parameters.created - now} s ahead of the gateway's clock; set your clock by server-time, and sign again with a new nonce.`,
      { members: { 'server-time': now } },
    );
  }
  return undefined;
}

export function signatureExpired(now: number, why = 'The signature has expired'): CountersignError {
  return new CountersignError(
    'signature-expired',
    `${why}; sign again, with a clock set by server-time and a new nonce.`,
    { members: { 'server-time': now } },
  );
}

function policy(detail: string): CountersignError {
  return new CountersignError('signature-policy', `${detail}.`);
}
