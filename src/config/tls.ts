/**
 * The `tls:` section: the names of the gateway's own certificate, and where its requests go and its chains come from.
 * @module
 */
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { CountersignError } from '../errors.ts';
import { readPath } from './environment.ts';
import type { Faults, Position } from './faults.ts';
import { isLoopbackHost, type Origin } from './origins.ts';
import type { UpstreamRoute } from './routes.ts';
import { group, list, text } from './setting-types.ts';

/** Whether callers are asked for a certificate of their own. What a route makes of one, the route says. */
export type ClientCertificates = 'off' | 'request';

export interface TlsSettings {
  /** DNS names and IP addresses, at least one: what callers connect to. */
  readonly names: readonly string[];
  /** Names such as `spiffe://example.com/gateway`. */
  readonly uris: readonly string[];
  /** The name that the issuer's box knows our request key by. */
  readonly requester: string;
  /** The folder that requests are dropped in, absolute. */
  readonly inbox: string;
  /** The folder that chains appear in, absolute. */
  readonly outbox: string;
  readonly clientCertificates: ClientCertificates;
  /** The issuer runs here too, with its root in the data folder: for development, on loopback alone. */
  readonly development: boolean;
}

/** Not one that stands for letters that may look like others (`xn--`): no issuer of ours certifies it. */
const LABEL = '(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const DNS_NAME = new RegExp(`^(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*$`);
const URI_NAME = new RegExp(`^spiffe://(?=[^/]{1,253}/)${LABEL}(?:\\.${LABEL})*/[A-Za-z0-9._/-]{1,1024}$`);
/** As the issuer has it, and short enough that the name of a request fits after it. */
const REQUESTER = /^[a-z0-9][a-z0-9.-]{0,39}$/;

function readName(name: string): string {
  if (isIP(name) !== 0 || (DNS_NAME.test(name) && !/^[\d.]+$/.test(name))) return name;
  throw invalid('must be a DNS name in lower case, such as api.example.com, or an address; no wildcard');
}

function readUriName(name: string): string {
  const path = name.split('/').slice(3);
  if (URI_NAME.test(name) && path.every((part) => part !== '' && part !== '.' && part !== '..')) return name;
  throw invalid('must be a name such as spiffe://example.com/gateway');
}

function readRequester(name: string): string {
  if (REQUESTER.test(name)) return name;
  throw invalid(
    'must be the name given to "ca enrol": lower-case letters, digits, dots, hyphens, 40 at most',
  );
}

function readClientCertificates(word: string): ClientCertificates {
  if (word === 'off' || word === 'request') return word;
  throw invalid('must be off or request');
}

/** The schema of `tls:`. */
export const tls = group('{ names: [api.example.com], requester: gateway, inbox: DIR, outbox: DIR }', {
  names: list('names, such as [api.example.com]', text('a name', readName)).optional(),
  uris: list('names, such as [spiffe://example.com/gateway]', text('a name', readUriName)).optional(),
  requester: text('the name given to "ca enrol"', readRequester).optional(),
  inbox: text('a folder', readPath).optional(),
  outbox: text('a folder', readPath).optional(),
  clientCertificates: text('off or request', readClientCertificates).optional(),
});

export const tlsSettings = Object.keys(tls.shape);

type Section = ReturnType<typeof tls.parse>;

interface Surroundings {
  readonly cwd: string;
  readonly data: string;
  readonly origins: readonly Origin[];
  readonly routes: readonly UpstreamRoute[];
  readonly development: boolean;
}

const DEVELOPMENT_NAMES = ['localhost', '127.0.0.1', '::1'];

/**
 * The section with what it leaves out. The names are those of the https origins where none are given; the folders lie
 * in the data folder.
 */
export function completeTls(
  section: Section | undefined,
  { cwd, data, origins, routes, development }: Surroundings,
): TlsSettings | undefined {
  if (!section && !development) return undefined;
  const {
    names,
    uris = [],
    requester = 'gateway',
    clientCertificates = routes.some(asksForCertificate) ? 'request' : 'off',
    inbox,
    outbox,
  } = section ?? {};
  const folder = join(data, 'tls');
  return {
    names: names ?? (development ? DEVELOPMENT_NAMES : [...new Set(origins.flatMap(hostOf))]),
    uris,
    requester,
    inbox: inbox === undefined ? join(folder, 'inbox') : resolve(cwd, inbox),
    outbox: outbox === undefined ? join(folder, 'outbox') : resolve(cwd, outbox),
    clientCertificates,
    development,
  };
}

const asksForCertificate = ({ clientCertificate }: UpstreamRoute) => clientCertificate !== 'none';

/** The host of an https origin, without the brackets of IPv6. */
function hostOf({ scheme, authority }: Origin): string[] {
  return scheme === 'https' ? [new URL(`${scheme}://${authority}`).hostname.replace(/^\[(.*)\]$/, '$1')] : [];
}

/** What no setting of the section shows by itself. */
export function checkTls(
  { tls, host, origins, routes, trustedProxies }: Checked,
  written: readonly string[],
  faults: Faults,
  position: (path: readonly PropertyKey[]) => Position | undefined,
): void {
  routes.forEach(({ clientCertificate }, index) => {
    if (clientCertificate !== 'required' || tls?.clientCertificates === 'request') return;
    const detail = tls
      ? 'is required, and tls.clientCertificates is off; write request, or leave it out'
      : 'is required, and only TLS shows certificates, at the gateway itself: set up tls:, or leave it out';
    const setting = `routes[${index}].clientCertificate`;
    faults.add(setting, detail, position(['routes', index, 'clientCertificate']));
  });
  if (!tls) return;
  const fault = (path: readonly string[], detail: string) =>
    faults.add(path.join('.'), detail, position(path));
  if (tls.development) {
    for (const name of written.filter((name) => ['requester', 'inbox', 'outbox'].includes(name))) {
      fault(
        ['tls', name],
        'is for an issuer on another machine, and --tls plays the issuer here; leave one out',
      );
    }
    const beyond = [host, ...tls.names].find((name) => !isLoopbackHost(name));
    if (beyond !== undefined) {
      fault(
        ['tls'],
        `--tls is for development on this machine, and ${beyond} is beyond it; set up a root with "countersign ca init"`,
      );
    }
  } else if (tls.names.length === 0 && !faults.concern('origins', 'COUNTERSIGN_PUBLIC_ORIGINS', 'tls')) {
    fault(['tls'], 'needs names: write names: [api.example.com], or https origins to take them from');
  }
  // A proxy that ends TLS may be let in beside those who connect by themselves.
  const plain = origins.findIndex(({ scheme }) => scheme === 'http');
  if (plain >= 0 && trustedProxies.length === 0) {
    fault(
      ['origins'],
      `http://${origins[plain]?.authority} can never be called where TLS is served; write https`,
    );
  }
}

interface Checked {
  readonly tls: TlsSettings | undefined;
  readonly host: string;
  readonly origins: readonly Origin[];
  readonly routes: readonly UpstreamRoute[];
  readonly trustedProxies: readonly string[];
}

function invalid(detail: string): CountersignError {
  return new CountersignError('config-invalid', detail);
}
