/**
 * Where the gateway listens and by which names it is called: hosts, ports, public origins and trusted peers.
 * Each `read…` function takes an operator's text and throws `config-invalid` with what to write instead.
 * @module
 */
import { BlockList, isIP } from 'node:net';
import { CountersignError } from '../errors.ts';

/** A public origin (RFC 6454). `authority` is in lower case, and bears no default port. */
export interface Origin {
  readonly scheme: 'http' | 'https';
  readonly authority: string;
}

const ORIGIN = /^(https?):\/\/([^/?#@\\\s]+)$/i;
const HOST_NAME =
  /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/i;

/** @param text an origin and nothing more, such as `https://api.example.com` or `http://127.0.0.1:9000`. */
export function readOrigin(text: string): Origin {
  const shape = ORIGIN.exec(text);
  const url = shape && URL.canParse(text) ? new URL(text) : undefined;
  if (!shape || !url || !isHost(url.hostname) || url.port === '0') {
    throw invalid(
      'must be an origin such as https://api.example.com: scheme, host and perhaps a port, with no path (not even a trailing slash), query or password',
    );
  }
  return { scheme: url.protocol === 'https:' ? 'https' : 'http', authority: url.host };
}

export function originText({ scheme, authority }: Origin): string {
  return `${scheme}://${authority}`;
}

/** A host to listen on, without the brackets of an IPv6 address. */
export function readHost(text: string): string {
  const host = unbracketed(text).toLowerCase();
  if (!isHost(text)) {
    throw invalid(
      'must be an address or a host name to listen on, such as 127.0.0.1, without scheme and port',
    );
  }
  return host;
}

function isHost(text: string): boolean {
  const bare = unbracketed(text);
  if (isIP(bare) !== 0) return true;
  // What looks like an IPv4 address but isn't one is a slip, not a name.
  return bare === text && HOST_NAME.test(text) && !/^[\d.]+$/.test(text);
}

const unbracketed = (host: string) => host.replace(/^\[(.*)\]$/, '$1');

export function readPort(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  // Kubernetes sets NAME_PORT for a service called NAME.
  const linked = text.startsWith('tcp://')
    ? '; this one was set by Kubernetes for a service named "countersign": set enableServiceLinks to false'
    : '';
  throw invalid(`must be a port from 0 to 65535, where 0 takes a free one${linked}`);
}

/** A peer that may speak for others: an address, or a network in CIDR notation. */
export function readNetwork(text: string): string {
  const [address = '', prefix, ...rest] = text.split('/');
  const family = address.includes('%') ? 0 : isIP(address);
  const bits = family === 4 ? 32 : 128;
  const isPrefix = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits);
  if (family === 0 || !isPrefix || rest.length > 0) {
    throw invalid('must be an address or a network, such as 10.0.0.7, 10.0.0.0/8 or fd00::/8');
  }
  if (prefix !== undefined && Number(prefix) === 0) {
    throw invalid('would let every caller say from where it calls; list the networks of your own proxies');
  }
  return text;
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Whether only this machine can reach the host: 127.0.0.0/8, ::1 (in brackets or not) or `localhost`. */
export function isLoopbackHost(host: string): boolean {
  const bare = unbracketed(host);
  const family = isIP(bare);
  if (family === 0) return bare.toLowerCase() === 'localhost';
  return loopback.check(bare, family === 4 ? 'ipv4' : 'ipv6');
}

interface OriginSettings {
  readonly origins: readonly Origin[];
  readonly host: string;
  /** Given where TLS is served. */
  readonly tls?: unknown;
}

/**
 * The origins that requests may name: the configured ones, or those of loopback where none are.
 * @param actualPort the port that is listened on, which differs from a configured 0.
 */
export function publicOrigins({ origins, host, tls }: OriginSettings, actualPort: number): readonly Origin[] {
  if (origins.length > 0 || !isLoopbackHost(host)) return origins;
  const own = isIP(host) === 6 ? `[${host}]` : host;
  const scheme = tls ? 'https' : 'http';
  const port = actualPort === (tls ? 443 : 80) ? '' : `:${actualPort}`;
  // The URL parser gives an IPv6 address its shortest form, which is what clients send.
  const hosts = new Set(['127.0.0.1', 'localhost', new URL(`http://${own}`).hostname]);
  return [...hosts].map((name) => ({ scheme, authority: name + port }));
}

function invalid(detail: string): CountersignError {
  return new CountersignError('config-invalid', detail);
}
