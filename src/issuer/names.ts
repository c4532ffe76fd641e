/**
 * The names that a certificate may bear (RFC 5280 section 4.2.1.6), in one strict form each: what isn't written in that
 * form is refused, so that no two readers can take it for different names.
 * @module
 */
import { CountersignError } from '../errors.ts';
import { ipOctets, isMapped } from './ip-address.ts';

/** What a certificate may be used for: a server's, a client's, or both. */
export type CertificateUse = 'server' | 'client' | 'both';

export const certificateUses: readonly CertificateUse[] = ['server', 'client', 'both'];

/** Lower-case DNS names, IP addresses in their shortest form, and `spiffe://host/path`. Sorted, each once. */
export interface Names {
  readonly dns: readonly string[];
  readonly ip: readonly string[];
  readonly uri: readonly string[];
}

/** More than any service has, and little enough to look at. */
const MOST_NAMES = 64;
const MOST_DNS_LENGTH = 253;
/** As in the SPIFFE ID specification, section 2.3. */
const MOST_URI_LENGTH = 2048;

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const URI = /^spiffe:\/\/([^/]*)((?:\/[A-Za-z0-9._-]+)+)$/;

/** Holds names to their forms. `certificate-request-refused` for the first that isn't in it, and for too many. */
export function readNames(given: Names): Names {
  for (const name of given.dns) checkDnsName(name);
  for (const address of given.ip) checkIpAddress(address);
  for (const uri of given.uri) checkUriName(uri);
  const names = { dns: sorted(given.dns), ip: sorted(given.ip), uri: sorted(given.uri) };
  const count = countOf(names);
  if (count > MOST_NAMES) throw refused(`It has ${count} names; ${MOST_NAMES} is the most.`);
  return names;
}

export function countOf({ dns, ip, uri }: Names): number {
  return dns.length + ip.length + uri.length;
}

/** `DNS:api.example.org`, `URI:spiffe://…`: with their kind, so that no two kinds meet. */
export function namesOf({ dns, ip, uri }: Names): string[] {
  return [
    ...dns.map((name) => `DNS:${name}`),
    ...ip.map((name) => `IP:${name}`),
    ...uri.map((name) => `URI:${name}`),
  ];
}

/** All of them, for people. */
export function namesText(names: Names): string {
  return namesOf(names).join(', ');
}

/** Lower-case letters, digits and hyphens (RFC 1123 section 2.1), no trailing dot, no wildcard. */
export function checkDnsName(name: string): void {
  const say = (why: string) => refused(`The DNS name ${shown(name)} ${why}.`);
  if (name.includes('*')) throw say('has a wildcard: name each host');
  if (name.length > MOST_DNS_LENGTH) throw say(`is longer than ${MOST_DNS_LENGTH} characters`);
  const labels = name.split('.');
  if (!labels.every((label) => LABEL.test(label)))
    throw say('must be lower-case letters, digits, hyphens and dots');
  // An `xn--` label is shown as letters that may look like others (RFC 5890 section 4.4).
  if (labels.some((label) => label.slice(2, 4) === '--'))
    throw say('has a label that stands for other letters');
  // As decimal or hex: readers of URLs take either for an address.
  if (/^(\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? '')) throw say('ends in a number, as an address does');
}

export function checkIpAddress(text: string): void {
  const octets = ipOctets(text);
  if (!octets)
    throw refused(`${shown(text)} is no IP address in its shortest form, such as 10.0.0.7 or 2001:db8::7.`);
  if (isMapped(octets)) throw refused(`${shown(text)} is an IPv4 address: write it as one.`);
}

/** No port, user, query, fragment, escape, empty segment or dot segment: the text is the name. */
export function checkUriName(uri: string): void {
  const say = (why: string) => refused(`The URI name ${shown(uri)} ${why}.`);
  if (uri.length > MOST_URI_LENGTH) throw say(`is longer than ${MOST_URI_LENGTH} characters`);
  const [, host, path] = URI.exec(uri) ?? [];
  if (host === undefined || path === undefined)
    throw say('must be spiffe://host/path, of letters, digits, dots, hyphens and underscores');
  checkDnsName(host);
  if (path.split('/').some((segment) => segment === '.' || segment === '..'))
    throw say('has a segment that is . or ..');
}

/** The host of a URI name that `checkUriName` let through. */
export function hostOf(uri: string): string {
  return URI.exec(uri)?.[1] ?? '';
}

/** What a stranger wrote, so that it can do nothing to a terminal or a log. */
export function shown(text: string): string {
  const cut = text.length > 100 ? `${text.slice(0, 100)}...` : text;
  return JSON.stringify(cut).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The one code of this room for what a requester sent. */
export function refused(detail: string, cause?: unknown): CountersignError {
  return new CountersignError('certificate-request-refused', detail, { cause });
}

function sorted(names: readonly string[]): readonly string[] {
  const unique = [...new Set(names)].sort();
  if (unique.length !== names.length) throw refused('It has the same name twice.');
  return unique;
}
