/**
 * Name constraints of a root (RFC 5280 section 4.2.1.10): what it can vouch for at all. What isn't permitted is excluded
 * outright, each kind of name by itself.
 * @module
 */
import { AsnConvert } from '@peculiar/asn1-schema';
import {
  GeneralName,
  GeneralSubtree,
  GeneralSubtrees,
  id_ce_nameConstraints,
  NameConstraints as NameConstraintsAsn,
} from '@peculiar/asn1-x509';
import { CountersignError } from '../errors.ts';
import { covers, ipOctets, readNetwork } from './ip-address.ts';
import { checkDnsName, countOf, hostOf, type Names, refused } from './names.ts';
import { Extension } from './x509.ts';

export interface NameConstraints {
  /** Domains: each permits itself and what lies below it. */
  readonly dns: readonly string[];
  /** Networks in CIDR notation. */
  readonly ip: readonly string[];
  /** Hosts of URI names; OpenSSL compares the host alone, so paths are held by the profile. */
  readonly uri: readonly string[];
}

/**
 * Excludes a kind of name whole: permitted, so that nothing else is, and excluded, which wins (RFC 5280 section
 * 4.2.1.10). The empty name that the RFC gives for this excludes no URI and no e-mail address where OpenSSL reads it, and
 * Java can't read the certificate for it (both measured). RFC 6761 keeps this domain from ever being anybody's.
 */
const NOBODY = 'invalid';
const ALL_V4 = '0.0.0.0/0';
const ALL_V6 = '::/0';

/** Holds constraints to their forms. `authority-invalid` for the first that isn't in it, or where nothing is permitted. */
export function readConstraints({ dns, ip, uri }: NameConstraints): NameConstraints {
  for (const host of [...dns, ...uri]) {
    try {
      checkDnsName(host);
    } catch (error) {
      throw invalid(`${(error as Error).message} It can't be permitted.`);
    }
    if (host === NOBODY || host.endsWith(`.${NOBODY}`))
      throw invalid(`${host} is a domain that nobody can have.`);
  }
  for (const network of ip)
    if (!readNetwork(network))
      throw invalid(`${JSON.stringify(network)} is no network such as 10.1.0.0/16 or 2001:db8::/32.`);
  if (dns.length + ip.length + uri.length === 0)
    throw invalid('A root that may name nothing is of no use: permit a domain, a URI host or a network.');
  return { dns: [...new Set(dns)].sort(), ip: [...new Set(ip)].sort(), uri: [...new Set(uri)].sort() };
}

/** `certificate-request-refused` for the first name that lies outside, and for no name at all. */
export function checkConstraints(names: Names, { dns, ip, uri }: NameConstraints): void {
  if (countOf(names) === 0) throw refused('It names nobody: ask for at least one name.');
  for (const name of names.dns)
    if (!dns.some((domain) => name === domain || name.endsWith(`.${domain}`)))
      throw refused(`The root may not vouch for ${name}: its domains are ${listed(dns)}.`);
  const networks = ip.map(readNetwork);
  for (const address of names.ip) {
    const octets = ipOctets(address);
    if (!octets || !networks.some((network) => network && covers(network, octets)))
      throw refused(`The root may not vouch for ${address}: its networks are ${listed(ip)}.`);
  }
  for (const name of names.uri)
    if (!uri.includes(hostOf(name)))
      throw refused(`The root may not vouch for ${name}: its URI hosts are ${listed(uri)}.`);
}

/** The extension, critical as RFC 5280 demands. */
export function constraintsExtension({ dns, ip, uri }: NameConstraints): Extension {
  const permitted = [
    ...orNobody(dns).map((dNSName) => new GeneralName({ dNSName })),
    ...orNobody(uri).map((uniformResourceIdentifier) => new GeneralName({ uniformResourceIdentifier })),
    new GeneralName({ rfc822Name: NOBODY }),
    ...ip.map((iPAddress) => new GeneralName({ iPAddress })),
  ];
  const excluded = [
    ...(dns.length === 0 ? [new GeneralName({ dNSName: NOBODY })] : []),
    ...(uri.length === 0 ? [new GeneralName({ uniformResourceIdentifier: NOBODY })] : []),
    new GeneralName({ rfc822Name: NOBODY }),
    // A network of one family says nothing of the other to some readers.
    ...(ip.some((network) => !network.includes(':')) ? [] : [new GeneralName({ iPAddress: ALL_V4 })]),
    ...(ip.some((network) => network.includes(':')) ? [] : [new GeneralName({ iPAddress: ALL_V6 })]),
  ];
  const value = new NameConstraintsAsn({
    permittedSubtrees: subtrees(permitted),
    excludedSubtrees: subtrees(excluded),
  });
  return new Extension(id_ce_nameConstraints, true, AsnConvert.serialize(value));
}

/** What an extension that we wrote permits. `authority-invalid` for any other. */
export function constraintsOf(extension: Extension | null): NameConstraints {
  const read = (): NameConstraints => {
    if (!extension) throw new Error('there are none');
    const { permittedSubtrees = [] } = AsnConvert.parse(extension.value, NameConstraintsAsn);
    const of = (member: 'dNSName' | 'uniformResourceIdentifier' | 'iPAddress') =>
      permittedSubtrees.map(({ base }) => base[member]).filter((name) => name !== undefined);
    const hosts = (names: string[]) => names.filter((name) => name !== NOBODY);
    const constraints = readConstraints({
      dns: hosts(of('dNSName')),
      ip: of('iPAddress'),
      uri: hosts(of('uniformResourceIdentifier')),
    });
    // Only what means the same to us as to OpenSSL: anything that we wouldn't write is not ours.
    const { critical, value } = constraintsExtension(constraints);
    if (!extension.critical || !critical || !Buffer.from(value).equals(Buffer.from(extension.value)))
      throw new Error('they are not written as ca init writes them');
    return constraints;
  };
  try {
    return read();
  } catch (error) {
    throw invalid(`The name constraints of the root can't be used: ${(error as Error).message}.`);
  }
}

function orNobody(names: readonly string[]): readonly string[] {
  return names.length > 0 ? names : [NOBODY];
}

function subtrees(names: readonly GeneralName[]): GeneralSubtrees {
  return new GeneralSubtrees(names.map((base) => new GeneralSubtree({ base })));
}

function listed(names: readonly string[]): string {
  return names.join(', ') || 'none';
}

function invalid(detail: string): CountersignError {
  return new CountersignError('authority-invalid', detail);
}
