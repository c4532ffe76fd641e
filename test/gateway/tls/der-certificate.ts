/**
 * Certificates written byte by byte, with names that no tool would put there. Their signatures hold nothing: what
 * validates certificates never sees them, what reads them does.
 * @module
 */
import { generateKeyPairSync, X509Certificate } from 'node:crypto';

/** The tags of a GeneralName (RFC 5280 section 4.2.1.6). */
export const EMAIL = 0x81;
export const DNS = 0x82;
export const DIRECTORY = 0xa4;
export const URI = 0x86;
export const ADDRESS = 0x87;
export const REGISTERED = 0x88;

/** One character a byte. */
export type Name = readonly [tag: number, content: string];

export interface Draft {
  /** Undefined for no SubjectAltName at all. */
  readonly names?: readonly Name[];
  /** Hex. */
  readonly serial?: string;
  /** As GeneralizedTime: `20270131120000Z`. */
  readonly from?: string;
  readonly to?: string;
}

const SEQUENCE = 0x30;
const { publicKey } = generateKeyPairSync('ed25519');
const spki = publicKey.export({ type: 'spki', format: 'der' });
/** 1.3.101.112. */
const ed25519 = der(SEQUENCE, Buffer.from('06032b6570', 'hex'));
const nobody = der(SEQUENCE);

export function certificate({ names, serial = '0a01', from, to }: Draft = {}): X509Certificate {
  const validity = [from ?? '20260101000000Z', to ?? '20360101000000Z'].map((time) => der(0x18, latin(time)));
  const tbs = der(
    SEQUENCE,
    der(0xa0, Buffer.from('020102', 'hex')),
    der(0x02, Buffer.from(serial, 'hex')),
    ed25519,
    nobody,
    der(SEQUENCE, ...validity),
    nobody,
    spki,
    ...(names ? [der(0xa3, der(SEQUENCE, subjectAltName(names)))] : []),
  );
  return new X509Certificate(der(SEQUENCE, tbs, ed25519, der(0x03, Buffer.alloc(65))));
}

function subjectAltName(names: readonly Name[]): Buffer {
  const list = der(SEQUENCE, ...names.map(([tag, content]) => der(tag, latin(content))));
  return der(SEQUENCE, Buffer.from('0603551d11', 'hex'), der(0x04, list));
}

const latin = (text: string) => Buffer.from(text, 'latin1');

function der(tag: number, ...contents: Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const head =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...head]), content]);
}
