/**
 * Whether a request from the inbox is answered: first who asks, by what only they can have made, then whether this very
 * request may still be answered, then what it asks for. Only what came from the requester goes into the ledger: anybody
 * else may have written the rest.
 * @module
 */
import { createHash } from 'node:crypto';
import { type Clock, epochSeconds } from '../clock.ts';
import { readRequest } from './certificate-request.ts';
import type { History } from './history.ts';
import type { SeenRequest } from './history-rows.ts';
import type { RequestFiles } from './inbox.ts';
import { type CertificateUse, type Names, refused } from './names.ts';
import { checkProfile, type Profile } from './profile.ts';
import {
  checkRequestDocument,
  parseRequestDocument,
  type RequestDocument,
  verifyRequestSignature,
} from './request-document.ts';
import { findApproved, refuseLapsed } from './requesters.ts';

/** A request that the named requester made, whatever it is worth. */
export interface AuthenticRequest {
  readonly seen: SeenRequest;
  readonly document: RequestDocument;
  /** The bytes of `ID.csr`. */
  readonly csr: Buffer;
}

/** What is to be issued. */
export interface Admission {
  readonly spki: Buffer;
  readonly keyDigest: string;
  readonly names: Names;
  readonly use: CertificateUse;
  /** Seconds. */
  readonly lifetime: number;
}

/**
 * Who asks. `certificate-request-refused` where the document or its signature doesn't hold, `requester-unknown` where
 * nobody of that name is enrolled or the approval has lapsed.
 * `authority-invalid` where their file isn't what the operator approved.
 * @param folder the issuer's.
 */
export function authenticate(
  id: string,
  { csr, json, sig }: RequestFiles,
  folder: string,
  history: History,
  clock: Clock,
): AuthenticRequest {
  const document = parseRequestDocument(json);
  const requester = findApproved(folder, document.requester, history);
  verifyRequestSignature(json, sig, requester);
  refuseLapsed(requester, clock);
  const seen: SeenRequest = {
    id,
    requester: requester.name,
    requestKey: requester.fingerprint,
    sequence: document.sequence,
    document: createHash('sha256').update(json).digest('hex'),
  };
  return { seen, document, csr };
}

/** For the operator: a request is decided once, so mending the profile alone brings no certificate. */
const ASK_ANEW =
  'It is decided once: carry rejected/ back into the inbox that it came from, and the requester asks anew.';

export interface Rules {
  /** SHA-256 of the DER of each root that may be asked: while they change, requesters know one or the other. */
  readonly issuers: ReadonlySet<string>;
  readonly profile: Profile;
  readonly history: History;
  readonly clock: Clock;
}

/** What a request gets, within the root's constraints. `certificate-request-refused` says why it gets nothing. */
export function admit({ seen, document, csr }: AuthenticRequest, rules: Rules): Admission {
  const { issuers, profile, history, clock } = rules;
  const now = epochSeconds(clock);
  refuseOld(seen, history);
  checkRequestDocument(document, { csr, issuers, now });
  const { spki, names, keyDigest } = readRequest(csr);
  const { requester, use } = document;
  const entry = profile.requesters.get(requester);
  if (!entry)
    throw refused(`profile.yaml has nothing for ${requester}: write there what it may have. ${ASK_ANEW}`);
  checkProfile({ names, use }, entry);
  const held = history.heldByAnother(names, requester, now);
  if (held) {
    const { request, serial, notAfter } = held.leaf;
    throw refused(
      `${held.name} belongs to ${request?.requester}, whose leaf ${serial} lives until ${iso(notAfter)}: a second live key for one name is not certified. If ${requester} is to have the name, take it from ${request?.requester} in profile.yaml and wait until then.`,
    );
  }
  return { spki, keyDigest, names, use, lifetime: entry.lifetime };
}

function refuseOld({ id, requester, document, requestKey, sequence }: SeenRequest, history: History): void {
  if (history.hasSeen(document)) throw refused(`This very request was decided before. ${ASK_ANEW}`);
  const last = history.sequenceOf(requestKey);
  if (last !== undefined && sequence <= last) {
    throw refused(`Its sequence is ${sequence}, and ${requester} has come to ${last} already.`);
  }
  const other = history.requesterOf(id);
  // Its chain would take the place of the other's in the outbox.
  if (other !== undefined && other !== requester) throw refused(`A request of ${other} had the id ${id}.`);
}

function iso(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
