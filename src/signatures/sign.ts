/**
 * Making signatures: of requests, and of the responses that answer them.
 * @module
 */
import type { KeyObject } from 'node:crypto';
import type { Component, RequestMessage } from './components.ts';
import { readComponent } from './components.ts';
import { trim } from './fields.ts';
import { hmacSha256 } from './hmac.ts';
import { type Covered, coverComponents, printable, signatureBase } from './signature-base.ts';
import type { SignatureParameters, Tag } from './signature-input.ts';
import { parseItem, serializeString } from './structured-fields.ts';
import type { VerifiedRequest } from './verify-request.ts';

/** The two header fields of a signature, with the base that it was made over (for showing, never for sending). */
export interface SignedFields {
  readonly signatureInput: string;
  readonly signature: string;
  readonly base: string;
  readonly covered: Covered;
}

/** The label carries no meaning (RFC 9421 section 4); this one is short. */
const LABEL = 'cs';

/** Seconds for which a response's signature holds; its nonce ties it to one request all the same. */
const RESPONSE_LIFE = 60;

/** Fields that the profile covers in a request wherever they are present, in this order. */
const REQUEST_FIELDS = [
  'content-digest',
  'content-type',
  'content-encoding',
  'idempotency-key',
  'authorization',
  'countersign-narrow',
  'accept',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  'if-range',
  'range',
  'prefer',
];

/** The components that a client covers by default: method, target and every present field that matters. */
export function defaultComponents(message: RequestMessage): Component[] {
  const fields = REQUEST_FIELDS.filter((name) => message.fields.has(name));
  return ['@method', '@target-uri', ...fields].map(component);
}

/** @param id a component identifier, bare (`@path`) or serialised (`"@query-param";name="a"`). */
export function component(id: string): Component {
  return readComponent(parseItem(id.startsWith('"') ? id : serializeString(id)));
}

export interface RequestSigning {
  readonly keyid: string;
  readonly secret: KeyObject;
  readonly created: number;
  readonly expires: number;
  readonly nonce: string;
  readonly components?: readonly Component[];
  readonly tag?: Tag;
}

/** Signs a request. `message.fields` holds everything that is to be covered, Content-Digest included. */
export function signRequest(message: RequestMessage, signing: RequestSigning): SignedFields {
  const { created, expires, nonce, keyid, tag = 'countersign-request-v1' } = signing;
  const covered = coverComponents(signing.components ?? defaultComponents(message), message);
  const list = covered.components.map(({ id }) => id).join(' ');
  return make(covered, list, { created, expires, nonce, keyid, tag }, signing.secret);
}

/** Fields that a response's signature covers wherever they are present. */
const RESPONSE_FIELD =
  /^(?:content-digest|content-type|content-encoding|location|etag|retry-after|idempotent-replayed|ratelimit.*|countersign-.*)$/;

export function coveredInResponses(name: string): boolean {
  return RESPONSE_FIELD.test(name);
}

const STATUS = component('@status');

/**
 * Signs the answer to a verified request: with the same key, the request's own nonce, and everything that the
 * request's signature covered as `;req` (RFC 9421 section 2.4).
 * @param fields name and value of each header field that is sent, a repeated one as often as it is sent; which of
 * them count is decided here.
 */
export function signResponse(
  status: number,
  fields: Iterable<readonly [name: string, value: string]>,
  request: VerifiedRequest,
  now: number,
): SignedFields {
  const components: Component[] = [STATUS];
  const values = [String(status)];
  for (const [sent, value] of fields) {
    const name = sent.toLowerCase();
    if (!coveredInResponses(name)) continue;
    const line = printable(trim(value));
    const earlier = components.findIndex((component) => component.name === name);
    if (earlier === -1) {
      components.push(fieldComponent(name));
      values.push(line);
    } else values[earlier] += `, ${line}`;
  }
  let list = '';
  for (const { id } of components) list += `${id} `;
  const ofRequest = requestComponents(request.covered.components);
  const { keyid, nonce } = request.parameters;
  return make(
    { components: components.concat(ofRequest.components), values: values.concat(request.covered.values) },
    list + ofRequest.list,
    { created: now, expires: now + RESPONSE_LIFE, nonce, keyid, tag: 'countersign-response-v1' },
    request.secret,
  );
}

/** Field names come from a small set, but an upstream may invent `ratelimit-…`, so the cache is bounded. */
const fieldComponents = new Map<string, Component>();

function fieldComponent(name: string): Component {
  const known = fieldComponents.get(name);
  if (known) return known;
  if (fieldComponents.size === 256) fieldComponents.clear();
  const made = component(name);
  fieldComponents.set(name, made);
  return made;
}

interface RequestComponents {
  readonly components: readonly Component[];
  readonly list: string;
}

/** A request's component list is shared between requests (see `readSignature`), and so is its `;req` form. */
const requestForms = new WeakMap<readonly Component[], RequestComponents>();

function requestComponents(components: readonly Component[]): RequestComponents {
  const known = requestForms.get(components);
  if (known) return known;
  const ofRequest = components.map((each) => ({ ...each, id: `${each.id};req`, ofRequest: true }));
  const made = { components: ofRequest, list: ofRequest.map(({ id }) => id).join(' ') };
  requestForms.set(components, made);
  return made;
}

function make(
  covered: Covered,
  list: string,
  parameters: SignatureParameters,
  secret: KeyObject,
): SignedFields {
  const { created, expires, nonce, keyid, tag } = parameters;
  const signatureParams =
    `(${list});created=${created};expires=${expires};nonce=${serializeString(nonce)}` +
    `;keyid=${serializeString(keyid)};alg="hmac-sha256";tag="${tag}"`;
  const base = signatureBase(covered, signatureParams);
  const mac = hmacSha256(secret, base).toString('base64');
  return { signatureInput: `${LABEL}=${signatureParams}`, signature: `${LABEL}=:${mac}:`, base, covered };
}
