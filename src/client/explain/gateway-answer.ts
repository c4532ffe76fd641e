/**
 * What is known of the gateway's view: the answer to the request, or the problem document that somebody kept of it.
 * @module
 */
import { CountersignError } from '../../errors.ts';
import type { Fields } from '../../signatures/fields.ts';
import { readHint } from '../refusal.ts';
import type { RecordedAnswer } from './recorded-request.ts';

export interface GatewayAnswer {
  /** `asked` just now, `given` as a text, or `recorded` with the request. */
  readonly source: 'asked' | 'given' | 'recorded';
  /** Undefined for a text. */
  readonly status: number | undefined;
  /** Of the refusal, or `response-…` for an answer that can't be trusted; undefined where the call was accepted. */
  readonly code: string | undefined;
  readonly detail: string | undefined;
  /** Whether the answer's own signature held, with the credentials' secret. */
  readonly verified: boolean;
  /** It is signed as only a gateway signs that found the request's MAC good. */
  readonly countersigned: boolean;
  /** The signature base that the gateway computed, with some values masked. */
  readonly base: GatewayBase | undefined;
  /** The gateway's clock when it answered, in seconds since the epoch. */
  readonly now: number | undefined;
}

export interface BaseLine {
  /** The component's identifier, quotes and parameters included; empty where the line has none. */
  readonly id: string;
  readonly value: string;
}

export interface GatewayBase {
  readonly lines: readonly BaseLine[];
  /** It was cut at 8 KiB, so that the last line may be a part and others may be missing. */
  readonly cut: boolean;
}

const MOST_GIVEN = 64 * 1024;
/** Where a gateway cuts what it shows. */
const MOST_SHOWN = 8192;
const LINE =
  /^("(?:[^"\\]|\\.)*"(?:;[a-z*][a-z0-9_.*-]*(?:=(?:"(?:[^"\\]|\\.)*"|[^\s;:"]*|:[^:]*:))?)*): ?(.*)$/s;

/** Reads a signature base (RFC 9421 section 2.5), however it was cut. */
function readBase(text: string): GatewayBase {
  const lines = text.split('\n').map((line) => {
    const [, id = '', value = line] = LINE.exec(line) ?? [];
    return { id, value };
  });
  return { lines, cut: text.length >= MOST_SHOWN || lines.at(-1)?.id !== '"@signature-params"' };
}

/**
 * Reads what was kept of a refusal: the text of its `signatureBase`, that text as a JSON string, or the whole problem.
 * @throws `request-invalid`
 */
export function readGivenAnswer(file: Buffer): GatewayAnswer {
  if (file.length > MOST_GIVEN) throw unusable(`it is longer than ${MOST_GIVEN} bytes`);
  const text = file
    .toString()
    .replace(/^\ufeff/, '')
    .trim();
  const problem = readProblem(text);
  const base = readBase((problem.signatureBase ?? '').replaceAll('\r\n', '\n'));
  if (problem.code === undefined && base.lines.every(({ id }) => id === '')) {
    throw unusable('it is neither a signature base, such as "@method": GET, nor a problem document with one');
  }
  return {
    source: 'given',
    status: undefined,
    // A base is told with this refusal alone.
    code: problem.code ?? 'signature-invalid',
    detail: problem.detail,
    verified: false,
    countersigned: false,
    base: problem.signatureBase === undefined ? undefined : base,
    now: problem['server-time'],
  };
}

interface Problem {
  readonly code?: string | undefined;
  readonly detail?: string | undefined;
  readonly signatureBase?: string | undefined;
  readonly 'server-time'?: number | undefined;
}

function readProblem(text: string): Problem {
  // A base begins with a quote as a JSON string does, and isn't one.
  if (!/^(?:\{|"(?:[^"\\]|\\.)*"$)/.test(text)) return { signatureBase: text };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { signatureBase: text };
  }
  if (typeof value === 'string') return { signatureBase: value };
  return knownMembers(value as Readonly<Record<string, unknown>>);
}

function knownMembers(problem: Readonly<Record<string, unknown>>): Problem {
  const { code, detail, signatureBase } = problem;
  const time = problem['server-time'];
  const isCode = typeof code === 'string' && /^[a-z][a-z0-9-]{0,63}$/.test(code);
  return {
    code: isCode ? code : undefined,
    detail: typeof detail === 'string' ? detail.slice(0, 2048) : undefined,
    signatureBase: typeof signatureBase === 'string' ? signatureBase.slice(0, MOST_SHOWN) : undefined,
    'server-time': typeof time === 'number' && Number.isSafeInteger(time) && time > 0 ? time : undefined,
  };
}

/** What an answer hints at that nobody verified: the client's own judgement of it may not be had any more. */
export function readRecordedAnswer({ status, fields, body }: RecordedAnswer): GatewayAnswer | undefined {
  const hint = readHint(status, fields, body);
  const countersigned = isCountersigned(fields);
  // An answer that no gateway signed or formed says nothing about the signature.
  if (!hint && !countersigned) return undefined;
  return {
    source: 'recorded',
    status,
    ...fromHint(hint),
    verified: false,
    countersigned,
    now: clockOf(fields, hint?.members),
  };
}

export function fromHint(
  hint: CountersignError | undefined,
): Pick<GatewayAnswer, 'code' | 'detail' | 'base'> {
  const { signatureBase } = knownMembers(hint?.members ?? {});
  return {
    code: hint?.code,
    detail: hint?.message,
    base: signatureBase === undefined ? undefined : readBase(signatureBase),
  };
}

/** A gateway signs its answer only where the request's MAC held. */
export function isCountersigned(fields: Fields): boolean {
  return (fields.get('signature-input') ?? '').includes(';tag="countersign-response-v1"');
}

/** `server-time` of a refusal, or the Date field: seconds since the epoch. */
export function clockOf(fields: Fields, members: Readonly<Record<string, unknown>> = {}): number | undefined {
  const told = knownMembers(members)['server-time'];
  if (told !== undefined) return told;
  const date = Date.parse(fields.get('date') ?? '');
  return Number.isNaN(date) ? undefined : Math.floor(date / 1000);
}

function unusable(why: string): CountersignError {
  return new CountersignError('request-invalid', `The signature base can't be read: ${why}.`);
}
