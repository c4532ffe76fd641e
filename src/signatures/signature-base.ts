/**
 * The signature base (RFC 9421 section 2.5): the text that the MAC is computed over.
 * @module
 */
import { CountersignError } from '../errors.ts';
import { type Component, componentValue, type RequestMessage, type ResponseMessage } from './components.ts';

/** What one signature covers in one message. `values` stand in the order of `components`. */
export interface Covered {
  readonly components: readonly Component[];
  readonly values: readonly string[];
}

export function coverComponents(
  components: readonly Component[],
  message: RequestMessage | ResponseMessage,
): Covered {
  return { components, values: components.map((component) => printable(componentValue(component, message))) };
}

const PRINTABLE = /^[\t\x20-\x7e]*$/;

/** A line break in a value could pose as another line of the base, and other bytes have two encodings (section 2.5). */
export function printable(value: string): string {
  if (PRINTABLE.test(value)) return value;
  throw new CountersignError('signature-policy', 'A covered value holds a byte outside printable ASCII.');
}

/** @param signatureParams the canonical text of the inner list with its parameters, as sent. */
export function signatureBase(covered: Covered, signatureParams: string): string {
  let base = '';
  for (let i = 0; i < covered.components.length; i++) {
    base += `${(covered.components[i] as Component).id}: ${covered.values[i]}\n`;
  }
  return `${base}"@signature-params": ${signatureParams}`;
}

/** Fields whose values a refusal may show: they hold nothing that the sender's own reading would not. */
const SHOWN = new Set([
  'host',
  'date',
  'content-type',
  'content-length',
  'content-digest',
  'content-encoding',
  'idempotency-key',
]);
const MOST_SHOWN = 8192;

/** The base as a refusal may return it: values that could be somebody's secret are replaced by their length. */
export function maskedSignatureBase(covered: Covered, signatureParams: string): string {
  const values = covered.components.map((component, i) => {
    const value = covered.values[i] as string;
    return component.name.startsWith('@') || SHOWN.has(component.name) ? value : `<${value.length} bytes>`;
  });
  return signatureBase({ components: covered.components, values }, signatureParams).slice(0, MOST_SHOWN);
}
