/**
 * As much of DER (ITU-T X.690) as a certificate request is written with, and a parsed certificate is looked into with.
 * @module
 */

/** One element: its tag, its length in the shortest form, its content. */
function element(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.concat(content);
  return Buffer.concat([Buffer.of(tag), lengthOf(bytes.length), bytes]);
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length);
  const digits = Buffer.from(
    length.toString(16).padStart(length > 0xffff ? 6 : length > 0xff ? 4 : 2, '0'),
    'hex',
  );
  return Buffer.concat([Buffer.of(0x80 | digits.length), digits]);
}

export const sequence = (...parts: readonly Uint8Array[]): Buffer => element(0x30, ...parts);

/** Of one member, so that there is nothing to sort. */
export const setOf = (member: Uint8Array): Buffer => element(0x31, member);

/** From 0 to 127. */
export const smallInteger = (value: number): Buffer => element(0x02, Buffer.of(value));

export const octetString = (bytes: Uint8Array): Buffer => element(0x04, bytes);

/** Of whole bytes. */
export const bitString = (bytes: Uint8Array): Buffer => element(0x03, Buffer.of(0), bytes);

/** `[n]`, IMPLICIT and primitive. */
export const contextPrimitive = (n: number, bytes: Uint8Array): Buffer => element(0x80 | n, bytes);

/** `[n]`, constructed. */
export const contextConstructed = (n: number, ...parts: readonly Uint8Array[]): Buffer =>
  element(0xa0 | n, ...parts);

/** @param text such as `1.2.840.10045.4.3.2`. */
export function objectIdentifier(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  return element(0x06, Buffer.from([first * 40 + second, ...rest].flatMap(base128)));
}

/** Seven bits a byte, all but the last with their high bit set. */
function base128(value: number): number[] {
  const digits = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) {
    digits.unshift((rest % 128) | 0x80);
  }
  return digits;
}

export interface Element {
  readonly tag: number;
  readonly content: Buffer;
}

/** The elements that stand side by side in these bytes. Throws `RangeError` where they aren't DER. */
export function elementsOf(bytes: Buffer): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const short = bytes.readUInt8(at + 1);
    const digits = short < 0x80 ? 0 : short & 0x7f;
    const length = digits === 0 ? short : bytes.readUIntBE(at + 2, digits);
    const start = at + 2 + digits;
    if (start + length > bytes.length) throw new RangeError('an element that is cut off');
    found.push({ tag: bytes.readUInt8(at), content: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return found;
}
