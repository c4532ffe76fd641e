/**
 * A request as somebody recorded it: nothing of it is trusted, and nothing is mended in silence.
 * @module
 */
import { CountersignError } from '../../errors.ts';
import type { RequestMessage } from '../../signatures/components.ts';
import { Fields } from '../../signatures/fields.ts';
import { isLoopback } from '../plain-http.ts';

export type HeaderLines = readonly (readonly [name: string, value: string])[];

export interface RecordedOrigin {
  readonly scheme: 'http' | 'https';
  readonly authority: string;
}

export interface RecordedRequest {
  readonly method: string;
  /** The raw request target, from its first slash on. */
  readonly target: string;
  /** As they stand, with the spaces around a value but for the one after the colon. */
  readonly lines: HeaderLines;
  /** Without chunks. */
  readonly body: Buffer;
  /** Where it went, if the file names a whole URL. */
  readonly origin: RecordedOrigin | undefined;
  /** The answer that it got, if the file holds it. */
  readonly answer: RecordedAnswer | undefined;
  /** What was done to read it, and a reader should know. */
  readonly notes: readonly string[];
}

export interface RecordedAnswer {
  readonly status: number;
  readonly fields: Fields;
  readonly body: Buffer;
}

export const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Latin-1 bytes above ASCII are read, since they may be what is wrong. */
export const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const TARGET = /^[\x21-\x7e]+$/;
const WHOLE_URL = /^(https?):\/\/([^/?#\\]*)([^#]*)/i;

/**
 * Takes a target apart that may be a whole URL, without a URL parser, which would rewrite it.
 * @throws `request-invalid`
 */
export function readTarget(text: string): Pick<RecordedRequest, 'target' | 'origin'> {
  if (!TARGET.test(text)) throw unreadable('its target is empty, or holds a byte outside 0x21-0x7E');
  const whole = WHOLE_URL.exec(text);
  if (!whole) return { target: text, origin: undefined };
  const [, scheme = '', host = '', rest = ''] = whole;
  const authority = host.slice(host.lastIndexOf('@') + 1);
  if (!URL.canParse(`http://${authority}`)) throw unreadable(`"${authority}" is not a host`);
  return {
    target: rest.startsWith('/') ? rest : `/${rest}`,
    origin: { scheme: scheme.toLowerCase() === 'https' ? 'https' : 'http', authority },
  };
}

/** @throws `request-invalid` */
export function checkMethod(method: string): string {
  if (!TOKEN.test(method) || method === 'CONNECT') {
    throw unreadable(`${JSON.stringify(method.slice(0, 40))} is not a method for a gateway`);
  }
  return method;
}

export interface OriginHints {
  /** `--url`. */
  readonly url?: URL | undefined;
  /** The credentials' own. */
  readonly gateway?: URL | undefined;
}

/**
 * The message that its signature speaks of. A raw request doesn't say whether it went over TLS: then that is taken
 * from a URL with the same host, and without one everything but loopback is https.
 * @throws `request-invalid` where nothing names a host.
 */
export function messageOf(recorded: RecordedRequest, hints: OriginHints = {}): RequestMessage {
  const fields = Fields.fromEntries(recorded.lines);
  const host = fields.get('host') ?? recorded.origin?.authority ?? hints.gateway?.host;
  if (host === undefined || !URL.canParse(`http://${host}`) || /[/?#@\\]/.test(host)) {
    throw unreadable(host === undefined ? 'it has no Host field' : 'its Host field is not a host');
  }
  const scheme = recorded.origin?.scheme ?? schemeOf(host, hints);
  const { method, target } = recorded;
  return { method, scheme, authority: normalAuthority(scheme, host), target, fields };
}

function schemeOf(host: string, { url, gateway }: OriginHints): 'http' | 'https' {
  for (const each of [url, gateway]) {
    if (each?.host === new URL(`${each?.protocol ?? 'http:'}//${host}`).host) return plainScheme(each);
  }
  return isLoopback(new URL(`http://${host}`).hostname) ? 'http' : 'https';
}

export function plainScheme({ protocol }: URL): 'http' | 'https' {
  return protocol === 'https:' ? 'https' : 'http';
}

/** As a gateway knows its origins: in lower case, without the scheme's own port. */
export function normalAuthority(scheme: 'http' | 'https', host: string): string {
  const lower = host.toLowerCase();
  const port = scheme === 'https' ? ':443' : ':80';
  return lower.endsWith(port) ? lower.slice(0, -port.length) : lower;
}

/** Methods that say by themselves that there is no body, so that no length is needed (RFC 9110 section 8.6). */
const WITHOUT_BODY = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS']);

/** The lines to send: as recorded, with a Host and a length where they aren't in the file (HTTP/2 has none). */
export function linesToSend({ lines, body, method }: RecordedRequest, authority: string): HeaderLines {
  const has = (wanted: string) => lines.some(([name]) => name.toLowerCase() === wanted);
  const more: [string, string][] = [];
  if (!has('host')) more.push(['Host', authority]);
  if (!has('content-length') && !has('transfer-encoding') && (body.length > 0 || !WITHOUT_BODY.has(method))) {
    more.push(['Content-Length', String(body.length)]);
  }
  return [...more, ...lines];
}

export function unreadable(why: string): CountersignError {
  return new CountersignError('request-invalid', `The request file can't be read: ${why}.`);
}
