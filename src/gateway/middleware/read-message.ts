/**
 * Reads the request as it stood on the wire, and refuses what two readers could understand differently.
 *
 * Node accepts some of it (measured on Node 20): a repeated Host or Content-Type, more header fields than its limit
 * (it drops the rest in silence), Latin-1 header bytes, any version that looks like HTTP, codings besides chunked that
 * it doesn't undo. So `rawHeaders` is what is read.
 * @module
 */
import type { IncomingMessage } from 'node:http';
import type { Origin } from '../../config/config.ts';
import { CountersignError } from '../../errors.ts';
import { Fields } from '../../signatures/fields.ts';
import { bearsSignature } from '../../signatures/signature-input.ts';
import { checkTarget } from '../../signatures/target.ts';
import type { Stage } from '../call.ts';
import { isAdminSocket } from '../listener.ts';
import { findOrigin, isLoopbackAuthority, type Peers } from '../peer.ts';
import type { ClientCertificates } from '../tls/client-certificates.ts';
import { checkRequestFields } from '../upstream/forwarded-fields.ts';

const MOST_FIELDS = 100;
/** What RFC 9110 allows in a field value, less its obsolete bytes above ASCII. */
const FIELD_VALUE = /^[\t\x20-\x7e]*$/;

export interface ReadMessageParts {
  readonly peers: Peers;
  readonly certificates: Pick<ClientCertificates, 'of'>;
  readonly origins: () => readonly Origin[];
  /** Targets that are answered whatever the Host. */
  readonly probes: ReadonlySet<string>;
}

export function readMessage({ peers, certificates, origins, probes }: ReadMessageParts): Stage {
  return async function readMessage(ctx, next) {
    const { req, state } = ctx;
    const { rawHeaders, method = '', url: target = '' } = req;
    checkRawHeaders(rawHeaders);
    const fields = Fields.fromRaw(rawHeaders);
    const scheme = 'encrypted' in req.socket ? 'https' : 'http';
    const peer = peers.read(req.socket.remoteAddress, scheme, fields);
    state.address = peer.address;
    if (!peer.forwarded) state.certificate = certificates.of(req.socket);
    checkRequestFields(fields);
    checkFraming(req, fields);
    state.encodedSlash = checkTarget(target).encodedSlash;

    const admin = isAdminSocket(req.socket);
    const host = fields.get('host');
    let origin: Origin = { scheme: peer.scheme, authority: host ?? '' };
    // What is signed speaks to a public origin, through whichever port it comes.
    if (!probes.has(target) && (!admin || bearsSignature(fields))) {
      if (host === undefined) throw malformed('it has no Host field');
      origin = findOrigin(origins(), peer.scheme, host);
    }
    state.loopback = peer.loopback && isLoopbackAuthority(origin.authority);
    state.local = admin || state.loopback;
    state.message = { method, scheme: origin.scheme, authority: origin.authority, target, fields };
    return next();
  };
}

function checkRawHeaders(raw: readonly string[]): void {
  if (raw.length > MOST_FIELDS * 2) {
    throw new CountersignError('headers-too-large', `More than ${MOST_FIELDS} header fields; send fewer.`);
  }
  for (let i = 1; i < raw.length; i += 2) {
    if (!FIELD_VALUE.test(raw[i] as string)) {
      throw malformed(`the field ${raw[i - 1]} holds bytes outside printable ASCII`);
    }
  }
}

/** Where the body ends, and who waits for whom, is understood by every hop in one way only. */
function checkFraming({ httpVersion }: IncomingMessage, fields: Fields): void {
  if (httpVersion !== '1.1' && httpVersion !== '1.0')
    throw malformed(`it is HTTP/${httpVersion}; send HTTP/1.1`);
  const coding = fields.get('transfer-encoding');
  if (coding !== undefined && (coding.toLowerCase() !== 'chunked' || httpVersion === '1.0')) {
    throw malformed('its Transfer-Encoding is something else than chunked, or in HTTP/1.0');
  }
  const expected = fields.get('expect');
  if (expected !== undefined && expected.toLowerCase() !== '100-continue') {
    throw malformed('it expects something else than 100-continue');
  }
}

function malformed(why: string): CountersignError {
  return new CountersignError('request-malformed', `The request can't be read in one way only: ${why}.`);
}
