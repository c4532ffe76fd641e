/**
 * Who is at the other end of the socket, and which of the public origins the request speaks to. Forwarding header
 * fields count only when a trusted proxy sent them.
 * @module
 */
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import type { Origin } from '../config/config.ts';
import { CountersignError } from '../errors.ts';
import type { Fields } from '../signatures/fields.ts';

export interface Peer {
  readonly address: string;
  readonly scheme: 'http' | 'https';
  /** Straight from a loopback address: no trusted proxy, no forwarding header. */
  readonly loopback: boolean;
  /** By a trusted proxy, for somebody else: whatever the connection itself shows, such as a certificate, is the proxy's. */
  readonly forwarded: boolean;
}

const FORWARDING = [
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-real-ip',
  'via',
];
/** An IPv4 address as a socket for both families, or a proxy, writes it. */
const MAPPED = /^::ffff:(?=[\d.]+$)/i;

export class Peers {
  private readonly trusted = new BlockList();
  private readonly none: boolean;

  /** @param trustedProxies addresses and CIDRs. */
  constructor(trustedProxies: readonly string[]) {
    this.none = trustedProxies.length === 0;
    for (const each of trustedProxies) {
      const [address = '', bits] = each.split('/');
      const family = isIPv6(address) ? 'ipv6' : 'ipv4';
      if (bits === undefined) this.trusted.addAddress(address, family);
      else this.trusted.addSubnet(address, Number(bits), family);
    }
  }

  read(remote: string | undefined, scheme: 'http' | 'https', fields: Fields): Peer {
    const address = plainAddress(remote ?? '');
    const saysSo = FORWARDING.some((name) => fields.has(name));
    if (this.none || !this.trusts(address)) {
      return { address, scheme, loopback: isLoopback(address) && !saysSo, forwarded: false };
    }
    const proto = fields.get('x-forwarded-proto');
    return {
      address: this.client(address, fields.get('x-forwarded-for')),
      scheme: proto === 'https' || proto === 'http' ? proto : scheme,
      loopback: false,
      forwarded: saysSo,
    };
  }

  /** From the right, past the hops that are trusted: what stands further left, anybody could have written. */
  private client(proxy: string, forwardedFor: string | undefined): string {
    let client = proxy;
    for (const hop of forwardedFor?.split(',').reverse() ?? []) {
      const address = plainAddress(hop.trim());
      if (!isIPv4(address) && !isIPv6(address)) break;
      client = address;
      if (!this.trusts(address)) break;
    }
    return client;
  }

  private trusts(address: string): boolean {
    return this.trusted.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  }
}

function plainAddress(address: string): string {
  return address.startsWith('::') ? address.replace(MAPPED, '') : address;
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}

const LOOPBACK_AUTHORITY = /^(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])(?::\d{1,5})?$/;

export function isLoopbackAuthority(authority: string): boolean {
  return LOOPBACK_AUTHORITY.test(authority);
}

const DEFAULT_PORT = { http: ':80', https: ':443' };

/** The one public origin that the request speaks to; `origin-unknown` where there is none. */
export function findOrigin(origins: readonly Origin[], scheme: 'http' | 'https', host: string): Origin {
  for (const origin of origins) {
    if (origin.scheme === scheme && origin.authority === host) return origin;
  }
  const lower = host.toLowerCase();
  const authority = lower.endsWith(DEFAULT_PORT[scheme])
    ? lower.slice(0, -DEFAULT_PORT[scheme].length)
    : lower;
  const found = origins.find((origin) => origin.scheme === scheme && origin.authority === authority);
  if (found) return found;
  throw new CountersignError(
    'origin-unknown',
    `Nothing is served at ${scheme}://${host.slice(0, 255)}. Call one of the public origins (COUNTERSIGN_PUBLIC_ORIGINS), and let proxies keep Host.`,
  );
}
