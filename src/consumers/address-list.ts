/**
 * The addresses and networks that a key may be used from.
 * @module
 */
import { BlockList, isIP } from 'node:net';

/** What is wrong with an address or a network in CIDR notation; undefined where nothing is. */
export function addressFault(text: string): string | undefined {
  const [address = '', prefix, ...rest] = text.split('/');
  const family = address.includes('%') ? 0 : isIP(address);
  const bits = family === 4 ? 32 : 128;
  const isPrefix = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits);
  if (family === 0 || !isPrefix || rest.length > 0)
    return `"${text}" must be an address or a network, such as 10.0.0.7, 10.0.0.0/8 or fd00::/8`;
  // Callers are known by their plain IPv4 address, so that this would match nobody.
  if (family === 6 && /^[0:]*:ffff:/i.test(address)) return `"${text}" must be written as IPv4`;
  return undefined;
}

export class AddressList {
  private readonly list = new BlockList();

  /** @param entries in which `addressFault` finds nothing. */
  constructor(entries: readonly string[]) {
    for (const entry of entries) {
      const [address = '', prefix] = entry.split('/');
      const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
      if (prefix === undefined) this.list.addAddress(address, family);
      else this.list.addSubnet(address, Number(prefix), family);
    }
  }

  has(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.list.check(address, family === 6 ? 'ipv6' : 'ipv4');
  }
}
