/**
 * IP addresses and networks as text and as octets (RFC 5280 section 4.2.1.6), in one form each: IPv6 as RFC 5952 writes it.
 * @module
 */

export interface Network {
  readonly address: Buffer;
  /** Bits of the address that count. */
  readonly prefix: number;
}

/** @returns 4 or 16 octets; undefined for text that is no address, or not in its one form. */
export function ipOctets(text: string): Buffer | undefined {
  return text.includes(':') ? v6Octets(text) : v4Octets(text);
}

/** @param octets 4 or 16 of them. */
export function ipText(octets: Uint8Array): string {
  if (octets.length === 4) return octets.join('.');
  const groups = Buffer.from(octets).toString('hex').match(/.{4}/g) ?? [];
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/** An IPv4 address in the clothes of IPv6: some compare it as the one, some as the other. */
export function isMapped(octets: Uint8Array): boolean {
  return octets.length === 16 && Buffer.from(octets).toString('hex').startsWith('00000000000000000000ffff');
}

/** @returns undefined for text that is no network in CIDR notation, or has bits beside its prefix. */
export function readNetwork(text: string): Network | undefined {
  const [, host = '', bits = ''] = /^([0-9a-f.:]+)\/(0|[1-9]\d{0,2})$/.exec(text) ?? [];
  const address = ipOctets(host);
  const prefix = Number(bits);
  if (!address || isMapped(address) || prefix > address.length * 8) return undefined;
  return masked(address, prefix).equals(address) ? { address, prefix } : undefined;
}

export function covers({ address, prefix }: Network, octets: Buffer): boolean {
  return octets.length === address.length && masked(octets, prefix).equals(address);
}

function masked(octets: Buffer, prefix: number): Buffer {
  return Buffer.from(
    octets.map((octet, i) => octet & (0xff00 >> Math.min(8, Math.max(0, prefix - i * 8))) & 0xff),
  );
}

function v4Octets(text: string): Buffer | undefined {
  const parts = text.split('.');
  const isAddress = parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part));
  return isAddress && parts.every((part) => Number(part) < 256) ? Buffer.from(parts.map(Number)) : undefined;
}

function v6Octets(text: string): Buffer | undefined {
  const url = `http://[${text}]`;
  // The parser of URLs knows RFC 5952, and takes other forms too: those come out differently.
  if (!/^[0-9a-f:]+$/.test(text) || !URL.canParse(url) || new URL(url).hostname !== `[${text}]`)
    return undefined;
  const [head = '', tail] = text.split('::');
  const groupsOf = (part: string) => part.split(':').filter((group) => group !== '');
  const [before, after] = [groupsOf(head), groupsOf(tail ?? '')];
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const groups = [...before, ...Array<string>(zeros).fill('0'), ...after];
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex');
}
