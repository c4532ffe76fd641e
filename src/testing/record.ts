/**
 * Recording: what `signedFetch` exchanges with a gateway, written to a cassette as it happens.
 * @module
 */
import type { KeyObject } from 'node:crypto';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Exchange } from '../client/index.ts';
import {
  CASSETTE_HEADER,
  formatExchange,
  type HeaderLines,
  invalid,
  MOST_CASSETTE,
  parseExchange,
} from './cassette.ts';

export interface RecordOptions {
  /**
   * Names of request fields to record although they carry a credential, such as `authorization`: of a test account,
   * or expired by the time that anybody reads the cassette.
   */
  readonly allow?: readonly string[];
}

/** Fields that by their names carry a credential. */
const CREDENTIAL = /(?:^|-)(?:authorization|cookie|token|secret|password|api-?key)(?:-|$)/;
const LEFT_OUT = '(left out)';

/**
 * Begins a cassette, in place of what the file held, and returns what `signedFetch` tells its exchanges to:
 *
 *     const fetch = signedFetch(credentials, { onExchange: record('test/orders.jsonl') });
 *
 * A call is on file before its promise settles, tries that were followed by another as well. A call that got no
 * answer isn't recorded.
 *
 * A cassette can be committed: it holds no shared secret, and its signatures have expired before anybody reads it.
 * Fields of a request that carry a credential (Authorization, Cookie, `…-token`, …) can't be left out, because the
 * signature covers them: such a call rejects with `cassette-invalid`, unless `allow` names the field. In responses they
 * are left out. Bodies are recorded as they are.
 * @throws the file system's own error where the file can't be written.
 */
export function record(file: string, { allow = [] }: RecordOptions = {}): (exchange: Exchange) => void {
  const allowed = new Set(allow.map((name) => name.toLowerCase()));
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, CASSETTE_HEADER);
  let length = CASSETTE_HEADER.length;

  return function recordExchange(exchange) {
    const { prepared, sent, received } = exchange;
    for (const [name] of sent.lines) {
      const isRefused = CREDENTIAL.test(name.toLowerCase()) && !allowed.has(name.toLowerCase());
      if (isRefused) {
        throw invalid(
          `The call is not recorded: its field ${name} carries a credential, and can't be left out, because the signature covers it. If the cassette may hold it, record(file, { allow: ['${name.toLowerCase()}'] }).`,
        );
      }
    }
    const line = formatExchange({
      at: judgedAt(exchange),
      origin: `${prepared.message.scheme}://${prepared.message.authority}`,
      request: sent,
      response: { status: received.status, lines: withoutCredentials(received.lines), body: received.body },
    });
    demandNoSecret([Buffer.from(line), sent.body, received.body], prepared.key.secret);
    length += Buffer.byteLength(line);
    if (length > MOST_CASSETTE) {
      throw invalid(`The call is not recorded: ${file} would exceed ${MOST_CASSETTE} bytes; begin another.`);
    }
    // What can't be read again fails here, where the call stands.
    parseExchange(line);
    appendFileSync(file, line);
  };
}

/**
 * The gateway's own clock tells, where it has signed: the caller's may be wrong, and a refusal because of that is to
 * come out the same in a replay. It signs at the end, so what the call took is taken off.
 */
function judgedAt({ prepared, received, verified }: Exchange): number {
  if (!verified) return prepared.created;
  return verified.parameters.created - Math.floor(received.waited / 1000);
}

function withoutCredentials(lines: HeaderLines): HeaderLines {
  return lines.map(([name, value]) => [name, CREDENTIAL.test(name.toLowerCase()) ? LEFT_OUT : value]);
}

/** The secret is never sent; an endpoint that echoes or stores it would put it here all the same. */
function demandNoSecret(texts: readonly Buffer[], secret: KeyObject): void {
  const bytes = secret.export();
  const hex = bytes.toString('hex');
  const forms = [
    bytes,
    hex,
    hex.toUpperCase(),
    unpadded(bytes.toString('base64')),
    bytes.toString('base64url'),
  ];
  if (texts.some((text) => forms.some((form) => text.includes(form)))) {
    throw invalid('The call is not recorded: it holds the secret that it was signed with.');
  }
}

const unpadded = (base64: string) => base64.replace(/=+$/, '');
