/**
 * Two signature bases side by side: ours, computed from the recorded request, and the gateway's.
 * @module
 */
import { CountersignError } from '../../errors.ts';
import { type Component, componentValue, type RequestMessage } from '../../signatures/components.ts';
import { printable } from '../../signatures/signature-base.ts';
import type { PresentedSignature } from '../../signatures/signature-input.ts';
import type { GatewayBase } from './gateway-answer.ts';

export type Verdict = 'same' | 'different' | 'cannot-compare';

/** One line of the base. A side that lacks it, or isn't known, has null. */
export interface ComparedLine {
  readonly id: string;
  readonly ours: string | null;
  readonly gateway: string | null;
  readonly verdict: Verdict;
}

/** Where two bases part: a line of the base and a column in it, both from 1. */
export interface FirstDifference {
  readonly id: string;
  readonly line: number;
  /** Null where one side has no such line, or where the gateway told no more of a value than its length. */
  readonly column: number | null;
}

/** Our side of a line. */
export interface OurLine {
  readonly id: string;
  /** Undefined where the message carries no such component, or one that can't be signed. */
  readonly value: string | undefined;
  readonly component: Component | undefined;
}

const PARAMS = '"@signature-params"';

/** The base of the recorded message, line by line; one that can't be had spoils no other. */
export function ourLines(message: RequestMessage, presented: PresentedSignature): OurLine[] {
  const lines: OurLine[] = presented.components.map((component) => ({
    id: component.id,
    value: lineValue(component, message),
    component,
  }));
  return [...lines, { id: PARAMS, value: presented.signatureParams, component: undefined }];
}

function lineValue(component: Component, message: RequestMessage): string | undefined {
  try {
    return printable(componentValue(component, message));
  } catch (error) {
    if (error instanceof CountersignError) return undefined;
    throw error;
  }
}

/** The base as one text; undefined where a line has no value. */
export function baseText(lines: readonly OurLine[]): string | undefined {
  if (lines.some(({ value }) => value === undefined)) return undefined;
  return lines.map(({ id, value }) => `${id}: ${value}`).join('\n');
}

/** @param gateway undefined where it isn't known, `same` where the gateway's MAC held for what ours holds for. */
export function compare(ours: readonly OurLine[], gateway: GatewayBase | 'same' | undefined): ComparedLine[] {
  if (gateway === undefined || gateway === 'same') {
    const verdict = gateway ?? 'cannot-compare';
    return ours.map(({ id, value = null }) => ({
      id,
      ours: value,
      gateway: gateway ? value : null,
      verdict,
    }));
  }
  const theirs = new Map(
    gateway.lines.map((line, i) => [line.id, { ...line, isLast: i === gateway.lines.length - 1 }]),
  );
  const lines = ours.map(({ id, value }): ComparedLine => {
    const their = theirs.get(id);
    theirs.delete(id);
    if (!their)
      return {
        id,
        ours: value ?? null,
        gateway: null,
        verdict: gateway.cut ? 'cannot-compare' : 'different',
      };
    const verdict = judge(id, value, their.value, gateway.cut && their.isLast);
    return { id, ours: value ?? null, gateway: their.value, verdict };
  });
  for (const { id, value, isLast } of theirs.values()) {
    if (gateway.cut && isLast) continue;
    lines.push({ id, ours: null, gateway: value, verdict: 'different' });
  }
  return lines;
}

/** What a gateway tells of a value that could be somebody's secret. */
export function maskedLength(id: string, value: string): number | undefined {
  const masked = id.startsWith('"@') ? null : /^<(\d{1,6}) bytes>$/.exec(value);
  return masked ? Number(masked[1]) : undefined;
}

function judge(id: string, ours: string | undefined, theirs: string, isCut: boolean): Verdict {
  if (ours === theirs) return 'same';
  if (ours === undefined) return 'different';
  const length = maskedLength(id, theirs);
  if (length !== undefined) return length === ours.length ? 'cannot-compare' : 'different';
  return isCut && ours.startsWith(theirs) ? 'cannot-compare' : 'different';
}

export function firstDifference(lines: readonly ComparedLine[]): FirstDifference | null {
  const at = lines.findIndex(({ verdict }) => verdict === 'different');
  const found = lines[at];
  if (!found) return null;
  const { id, ours, gateway } = found;
  const isShown = ours !== null && gateway !== null && maskedLength(id, gateway) === undefined;
  return { id, line: at + 1, column: isShown ? columnOf(`${id}: ${ours}`, `${id}: ${gateway}`) : null };
}

function columnOf(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at + 1;
}
