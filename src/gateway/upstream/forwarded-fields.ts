/**
 * Which header fields cross the gateway: from the caller to an upstream, and back. Pure. Names are compared in lower
 * case with `_` as `-`, since many servers make no difference between them.
 * @module
 */
import type { UpstreamRoute } from '../../config/config.ts';
import { CountersignError } from '../../errors.ts';
import { comparableName, type Fields, trim } from '../../signatures/fields.ts';
import { coveredInResponses } from '../../signatures/sign.ts';
import type { Covered } from '../../signatures/signature-base.ts';

/** Who calls, as the gateway tells the upstream. */
export interface CallIdentity {
  readonly consumer: string;
  readonly keyid: string;
  readonly roles: readonly string[];
  readonly requestId: string;
  /** W3C Trace Context; left out where nobody traces. */
  readonly traceparent?: string | undefined;
}

/** They concern one connection alone (RFC 9110 section 7.6.1), with those of older specifications. */
const HOP_BY_HOP = [
  'close',
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

/** Never an upstream's to see as the caller sent them, covered or not. */
const KEPT_FROM_UPSTREAMS = new Set([
  ...HOP_BY_HOP,
  // The exchange with the upstream has its own.
  'host',
  'content-length',
  'expect',
  'traceparent',
  // The credential that the gateway consumed.
  'signature',
  'signature-input',
  // Upstreams believe these of whoever stands before them, and some route by the last two.
  'forwarded',
  'x-real-ip',
  'x-original-url',
  'x-rewrite-url',
]);
/**
 * By prefix. The later ones are those in which proxies tell of a client certificate (RFC 9440, Envoy, nginx, HAProxy,
 * Apache, AWS, Azure, Cloudflare): the gateway, which sees the connection, believes none of them, and an upstream would.
 */
const KEPT_PREFIX =
  /^(?:countersign-|x-forwarded-|(?:x-)?(?:ssl|tls|mtls)-|(?:x-)?client-?(?:cert|certificate|verify|[si]?-?dn)(?:-|$)|x-amzn-mtls-|x-arr-clientcert|cf-client-cert-)/;

/** Passed on whether covered or not: they choose a form of the answer and nothing else. */
const PASSED_UNCOVERED = ['accept', 'accept-language', 'user-agent'];

/** Fields that have one value (RFC 9110 section 5.3): of two, one reader takes the first and another the last. */
const SINGLETONS = new Set([
  'authorization',
  'content-length',
  'content-location',
  'content-range',
  'content-type',
  'cookie',
  'date',
  'from',
  'host',
  'idempotency-key',
  'if-modified-since',
  'if-range',
  'if-unmodified-since',
  'max-forwards',
  'origin',
  'proxy-authorization',
  'range',
  'referer',
  'traceparent',
  'user-agent',
]);
/** More fields that nobody may send under another spelling, such as `Content_Digest`. */
const GUARDED = new Set([
  ...SINGLETONS,
  ...KEPT_FROM_UPSTREAMS,
  'content-digest',
  'content-encoding',
  'if-match',
  'if-none-match',
]);

const CONNECTION_OPTIONS = new Set(['', 'close', 'keep-alive', 'te']);

/** Refuses, with `request-malformed`, fields that two readers would understand differently. For every request. */
export function checkRequestFields(fields: Fields): void {
  for (const name of fields.names()) {
    if (SINGLETONS.has(name)) {
      if (fields.lines(name).length > 1) throw malformed(`${name} stands in it twice; send it once`);
    } else if (name.includes('_') && GUARDED.has(comparableName(name))) {
      throw malformed(`${name} is read as ${comparableName(name)} by many servers; send it under that name`);
    }
  }
  const connection = fields.get('connection');
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return;
  for (const option of options(connection)) {
    if (!CONNECTION_OPTIONS.has(option)) {
      throw malformed('Connection may name close, keep-alive and te, and nothing else');
    }
  }
}

/**
 * What an upstream gets of a signed request: what the signature covers, a few harmless fields, and who calls.
 * @param upstreamHost the upstream's own authority, for Host.
 * @returns names and values in turn. Content-Length is left to whoever sends the body.
 */
export function fieldsForUpstream(
  fields: Fields,
  covered: Covered,
  identity: CallIdentity,
  upstreamHost: string,
): string[] {
  const sent = new Map<string, string>();
  const nominated = nominatedBy(fields.get('connection'));
  const pass = (name: string) => {
    const value = fields.get(name);
    if (value !== undefined && passesToUpstream(name) && !nominated?.has(comparableName(name))) {
      sent.set(name, value);
    }
  };
  for (const { name, form } of covered.components) {
    // A component of another form speaks for a part of the field, or for a reading of it.
    if (!name.startsWith('@') && (form === 'plain' || form === 'bs')) pass(name);
  }
  for (const name of PASSED_UNCOVERED) pass(name);

  const raw = ['host', upstreamHost];
  for (const [name, value] of sent) raw.push(name, value);
  raw.push('countersign-consumer', identity.consumer, 'countersign-keyid', identity.keyid);
  raw.push('countersign-roles', identity.roles.join(', '), 'countersign-request-id', identity.requestId);
  if (identity.traceparent !== undefined) raw.push('traceparent', identity.traceparent);
  return raw;
}

/** Whether a field that the signature covers goes on to the upstream, as far as its name says. */
export function passesToUpstream(name: string): boolean {
  const comparable = comparableName(name);
  return !KEPT_FROM_UPSTREAMS.has(comparable) && !KEPT_PREFIX.test(comparable);
}

/** Never a caller's to see as the upstream sent them. */
const KEPT_FROM_CALLERS = new Set([
  ...HOP_BY_HOP,
  // The gateway's own, of the answer that it signs.
  'cache-control',
  'content-digest',
  'content-length',
  'date',
  // They would speak for the gateway's whole origin, where the console lives.
  'alt-svc',
  'clear-site-data',
  'nel',
  'report-to',
  'service-worker-allowed',
  'set-cookie',
  'set-cookie2',
  'strict-transport-security',
  'x-content-type-options',
]);
const KEPT_FROM_CALLERS_PREFIX = /^(?:countersign-|signature)/;

const LISTS_COVERED = /^(?:content-encoding|ratelimit.*)$/;
const PRINTABLE = /^[\t\x20-\x7e]*$/;
const SANDBOX = "sandbox; default-src 'none'";

/**
 * What a caller gets back of an upstream's header fields; throws `upstream-invalid` where a field that the answer's
 * signature covers can't be signed.
 * @param headers in order, names in lower case.
 * @returns each name once, but for `set-cookie`, whose lines can't be joined.
 */
export function fieldsForCaller(
  route: Pick<UpstreamRoute, 'idempotency' | 'setCookie' | 'contentSecurityPolicy'>,
  headers: readonly (readonly [name: string, value: string])[],
): [string, string][] {
  const connection = headers.filter(([name]) => name === 'connection').map(([, value]) => value);
  const nominated = nominatedBy(connection.length === 0 ? undefined : connection.join());
  const passed = new Map<string, string>();
  const cookies: [string, string][] = [];
  for (const [name, raw] of headers) {
    const value = trim(raw);
    const covered = coveredInResponses(name);
    if (name === 'set-cookie' && PRINTABLE.test(value) && route.setCookie.includes(cookieName(value))) {
      cookies.push([name, value]);
    }
    const comparable = comparableName(name);
    if (KEPT_FROM_CALLERS.has(comparable) || KEPT_FROM_CALLERS_PREFIX.test(comparable)) continue;
    if (nominated?.has(comparable)) continue;
    if (comparable === 'idempotent-replayed' && route.idempotency !== 'upstream') continue;
    if (!PRINTABLE.test(value)) {
      if (covered) throw invalidAnswer(`its field ${name} holds a byte outside printable ASCII`);
      continue;
    }
    const earlier = passed.get(name);
    if (earlier !== undefined && covered && !LISTS_COVERED.test(name)) {
      throw invalidAnswer(`its field ${name} stands twice`);
    }
    passed.set(name, earlier === undefined ? value : `${earlier}, ${value}`);
  }
  // Policies in a list all apply, so one of the upstream's own can only narrow further.
  const own = passed.get('content-security-policy');
  const policy = route.contentSecurityPolicy ?? SANDBOX;
  passed.set('content-security-policy', own ? `${own}, ${policy}` : policy);
  passed.set('x-content-type-options', 'nosniff');
  return [...passed, ...cookies];
}

/** What stands before "="; without one, browsers keep a cookie that has no name. */
const cookieName = (line: string) => trim(/^([^=;]*)=/.exec(line)?.[1] ?? '');

/** The fields that a Connection field makes hop-by-hop. */
function nominatedBy(connection: string | undefined): ReadonlySet<string> | undefined {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return undefined;
  return new Set(options(connection).map(comparableName));
}

const options = (connection: string) => connection.split(',').map((option) => trim(option).toLowerCase());

function malformed(why: string): CountersignError {
  return new CountersignError('request-malformed', `The request could be read in two ways: ${why}.`);
}

function invalidAnswer(why: string): CountersignError {
  return new CountersignError('upstream-invalid', `The upstream's answer can't be passed on: ${why}.`);
}
