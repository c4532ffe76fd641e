/**
 * Explaining a signed request: what it signs, what the gateway made of it, and why the two part. Pure.
 * @module
 */
import type { KeyObject } from 'node:crypto';
import { CountersignError } from '../../errors.ts';
import type { RequestMessage } from '../../signatures/components.ts';
import { readContentDigest, verifyContentDigest } from '../../signatures/content-digest.ts';
import { checkRequestProfile } from '../../signatures/request-profile.ts';
import { type PresentedSignature, readSignature } from '../../signatures/signature-input.ts';
import { checkTarget } from '../../signatures/target.ts';
import type { Cause } from './cause.ts';
import { findClockCause } from './clock-cause.ts';
import {
  baseText,
  type ComparedLine,
  compare,
  type FirstDifference,
  firstDifference,
  type OurLine,
  ourLines,
} from './comparison.ts';
import { causesOfDifferences } from './differences.ts';
import type { GatewayAnswer } from './gateway-answer.ts';
import type { RecordedRequest } from './recorded-request.ts';
import { explainRefusal } from './refusal-cause.ts';
import { findSlip, macHolds } from './signer-slip.ts';
import { digestVariants } from './variants.ts';

export interface Question {
  readonly recorded: RecordedRequest;
  readonly message: RequestMessage;
  readonly key: { readonly keyid: string; readonly secret: KeyObject };
  /** Undefined where the gateway can't be asked, and nobody kept its answer. */
  readonly answer: GatewayAnswer | undefined;
  /** This machine's clock, in whole seconds since the epoch. */
  readonly now: number;
  /** Other hosts that the request may have been signed for, such as the credentials' own. */
  readonly authorities?: readonly string[];
}

export interface Explanation {
  readonly components: readonly ComparedLine[];
  readonly firstDifference: FirstDifference | null;
  /** The likeliest first; none where nothing is known to be wrong. */
  readonly causes: readonly Cause[];
  /** Whether the MAC in the file holds over the file's base with the credentials' secret; null without a base. */
  readonly macHolds: boolean | null;
  readonly notes: readonly string[];
}

const TAG = 'countersign-request-v1';
const LIFE = { maxLife: 300, skew: 30 };

/** The signature with our tag, as a gateway reads it; throws what the gateway would refuse it with. */
export function readRecordedSignature({ fields }: RequestMessage): PresentedSignature {
  return readSignature(fields, TAG);
}

/** Never throws for anything that stands in the request or the answer: that is what it explains. */
export function explain(question: Question): Explanation {
  let presented: PresentedSignature;
  try {
    presented = readRecordedSignature(question.message);
  } catch (error) {
    const causes = [causeOf(error)];
    return { components: [], firstDifference: null, causes, macHolds: null, notes: question.recorded.notes };
  }
  return explainSigned(question, presented);
}

function explainSigned(question: Question, presented: PresentedSignature): Explanation {
  const { recorded, message, key, answer, now } = question;
  const notes = [...recorded.notes];
  const lines = ourLines(message, presented);
  const base = baseText(lines);
  const holds = base === undefined ? null : macHolds(key.secret, base, presented.signature);

  let components = compare(lines, answer?.verified ? 'same' : answer?.base);
  if (answer?.source !== 'asked' && components.some(isOfOtherMessage)) {
    notes.push(OTHER_MESSAGE);
    components = components.map((line) =>
      isOfOtherMessage(line) ? { ...line, verdict: 'cannot-compare' } : line,
    );
  }
  const difference = firstDifference(components);

  const { keyid } = presented.parameters;
  // A gateway that found the MAC good had no quarrel with the rest, whatever it is configured to allow.
  const profile = answer?.verified ? [] : profileCauses(message, presented, now);
  const causes = [
    ...signatureCauses(presented, lines, key.keyid),
    ...bodyCauses(recorded, message),
    ...causesOfDifferences(components, recorded),
    ...profile,
  ];
  if (holds === false && keyid === key.keyid) {
    causes.push(macCause(question, presented, difference !== null));
  }
  const times = findClockCause(presented.parameters, answer, now);
  if (times.cause) causes.push(times.cause);
  if (times.note) notes.push(times.note);
  if (answer) {
    const isOursGood = profile.length === 0 && holds !== false;
    const masked = components.filter(({ verdict, gateway }) => verdict === 'cannot-compare' && gateway);
    causes.push(
      ...explainRefusal(answer, {
        keyid,
        holds,
        isOursGood,
        masked: masked.map(({ id }) => id),
        message,
        known: causes,
      }),
    );
  }
  return {
    components: components.map(withoutCredentials),
    firstDifference: difference,
    causes: causes.filter(({ code }, i) => causes.findIndex((each) => each.code === code) === i),
    macHolds: holds,
    notes,
  };
}

/** Fields that are credentials themselves: an explanation ends in tickets, so they are shown as the gateway does. */
const CREDENTIALS = /^"(?:authorization|proxy-authorization|cookie)"/;

function withoutCredentials(line: ComparedLine): ComparedLine {
  return line.ours === null || !CREDENTIALS.test(line.id)
    ? line
    : {
        ...line,
        ours: masked(line.ours),
        gateway: line.gateway === line.ours ? masked(line.ours) : line.gateway,
      };
}

const masked = (value: string) => `<${value.length} bytes>`;

const OTHER_MESSAGE =
  "The gateway's base is of another message than this: its nonce differs. What changes from call to call can't be compared.";

/** A base that was kept may be of an earlier try; whatever stays from try to try is compared all the same. */
function isOfOtherMessage({ id, ours, gateway, verdict }: ComparedLine): boolean {
  if (id !== '"@signature-params"' || verdict !== 'different' || ours === null || gateway === null)
    return false;
  const nonceOf = (text: string) => /;nonce="([^"]*)"/.exec(text)?.[1];
  return nonceOf(ours) !== nonceOf(gateway);
}

/** What is wrong with what the signature says of itself. */
function signatureCauses(
  { parameters, wrongAlgorithm }: PresentedSignature,
  lines: readonly OurLine[],
  keyid: string,
): Cause[] {
  const causes: Cause[] = [];
  if (parameters.keyid !== keyid) {
    const detail = `The request is signed by "${parameters.keyid}", and the credentials are those of "${keyid}". Use one key for both: a MAC can be checked with its own secret alone.`;
    causes.push({ code: 'keyid-differs', detail });
  }
  if (wrongAlgorithm) {
    const detail = 'The signature says another "alg" than hmac-sha256. Say that, or leave it out.';
    causes.push({ code: 'algorithm-wrong', detail });
  }
  for (const { id } of lines.filter(({ value }) => value === undefined)) {
    const detail = `The signature covers ${id}, and the file has no such field, or one that can't be signed. The signer must send what it signs; if it did, something left it out before this was recorded.`;
    causes.push({ code: 'header-dropped', detail });
  }
  return causes;
}

function bodyCauses({ body }: RecordedRequest, { fields }: RequestMessage): Cause[] {
  const digest = fields.get('content-digest');
  if (digest === undefined) return [];
  try {
    verifyContentDigest(readContentDigest(digest), body);
    return [];
  } catch (error) {
    const cause = causeOf(error);
    if (cause.code !== 'digest-mismatch') return [cause];
    const form = digestVariants(body).find(({ value }) => value === digest);
    const how = form ? ` It is the digest of the body ${form.how}.` : '';
    const detail = `The body in the file is not the one whose digest stands in its Content-Digest.${how} It was serialised anew, compressed or cut after it was signed: sign the bytes that are sent, and send them unchanged.`;
    return [{ code: 'body-changed', detail }];
  }
}

/** What a gateway would refuse before it looks at the key. */
function profileCauses(message: RequestMessage, presented: PresentedSignature, now: number): Cause[] {
  const causes: Cause[] = [];
  const check = (demand: () => unknown) => {
    try {
      demand();
    } catch (error) {
      causes.push(causeOf(error));
    }
  };
  check(() => checkTarget(message.target));
  // The gateway's own endpoints demand conditional fields as well; a route to an upstream doesn't.
  const conditions = message.target.startsWith('/v1/');
  check(() => checkRequestProfile(message, presented, LIFE, { conditions }, now));
  return causes;
}

/** The MAC in the file doesn't hold with this secret: because of the secret, or of what it was made over. */
function macCause(question: Question, presented: PresentedSignature, differs: boolean): Cause {
  const { recorded, message, key, answer, authorities = [] } = question;
  const host = message.fields.get('host');
  const slip = findSlip({
    recorded,
    message,
    presented,
    secret: key.secret,
    authorities: host === undefined ? authorities : [...authorities, host],
  });
  if (slip) return slip;
  if (answer?.countersigned && !answer.verified) {
    const detail =
      'The gateway found the MAC good, since it signed its answer, and with this secret neither the request nor the answer holds: the secret in the credentials file is not the one of this keyid.';
    return { code: 'secret-wrong', detail };
  }
  const isTheirs = answer?.base !== undefined && !differs;
  const detail = `The MAC does not hold over ${isTheirs ? "this base, which is the gateway's too where it can be compared" : 'the base of what is in the file'}: it was made with another secret than that of the credentials, or the signer computed another base. Compare the secret first (was the key rotated?), then the signer's base with this one.`;
  return { code: 'secret-wrong', detail };
}

function causeOf(error: unknown): Cause {
  if (!(error instanceof CountersignError)) throw error;
  return { code: error.code, detail: error.message };
}
