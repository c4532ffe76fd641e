/**
 * Plain http to a host that isn't this machine: the signature still protects what it covers, but anybody on the way
 * reads the call.
 * @module
 */
import { CountersignError } from '../errors.ts';

const LOOPBACK = /^(?:localhost|.*\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** @param hostname as a URL has it: in lower case, IPv4 in four numbers, IPv6 in brackets. */
export function isLoopback(hostname: string): boolean {
  return LOOPBACK.test(hostname);
}

/** Hosts that the process has been warned of. Bounded, since a caller may take host names from anywhere. */
const warned = new Set<string>();
const MOST_WARNINGS = 100;

/**
 * Warns once for each host, by a process warning (`COUNTERSIGN_PLAIN_HTTP`).
 * @throws `tls-required`
 */
export function guardPlainHttp(scheme: string, authority: string, requireTls: boolean): void {
  if (scheme === 'https') return;
  const { hostname } = new URL(`${scheme}://${authority}`);
  if (isLoopback(hostname)) return;
  if (requireTls) {
    throw new CountersignError(
      'tls-required',
      `The call to http://${authority} would go in the clear, and requireTls is set; use https.`,
    );
  }
  if (warned.has(authority) || warned.size === MOST_WARNINGS) return;
  warned.add(authority);
  process.emitWarning(
    `Calls to http://${authority} go in the clear: anybody on the way can read them. Use https, and set requireTls.`,
    { type: 'CountersignWarning', code: 'COUNTERSIGN_PLAIN_HTTP' },
  );
}
