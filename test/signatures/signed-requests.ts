/**
 * Requests that the profile allows, signed: drawn at random for property tests.
 * @module
 */
import fc from 'fast-check';
import { contentDigest } from '../../src/signatures/content-digest.ts';
import {
  component,
  Fields,
  type RequestMessage,
  type RequestSigning,
  signRequest,
} from '../../src/signatures/index.ts';
import { NOW, SECRET } from './requests.ts';

/** A request as it goes over the wire, every part of it text that somebody could change. */
export interface Wire {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  readonly target: string;
  readonly raw: readonly (readonly [name: string, value: string])[];
}

export function read(wire: Wire): RequestMessage {
  return { ...wire, fields: Fields.fromEntries(wire.raw) };
}

/** What to sign: a message without its signature, and what the signature says. */
export interface Unsigned {
  readonly wire: Wire;
  readonly covered: readonly string[];
  readonly signing: Omit<RequestSigning, 'secret' | 'components'>;
}

export function sign({ wire, covered, signing }: Unsigned): Wire {
  const components = covered.map(component);
  const signed = signRequest(read(wire), { ...signing, secret: SECRET, components });
  return {
    ...wire,
    raw: [['Signature-Input', signed.signatureInput], ...wire.raw, ['Signature', signed.signature]],
  };
}

const text = (characters: string, minLength: number, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...characters), minLength, maxLength });
const letters = 'abcXYZ019-_.~';
const segment = text(letters, 1, 6).filter((each) => !/^\.+$/.test(each));
const path = fc.array(segment, { maxLength: 4 }).map((segments) => `/${segments.join('/')}`);
const query = fc
  .uniqueArray(fc.tuple(text('abc', 1, 4), text(letters, 0, 6)), {
    maxLength: 3,
    selector: ([name]) => name,
  })
  .map((pairs) => ({
    names: pairs.map(([name]) => name),
    text: pairs.map((pair) => pair.join('=')).join('&'),
  }));
const visible = Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i)).join('');
const line = fc.oneof(text(visible, 0, 12), text(`${visible} \t`, 0, 12));
const nonce = text('abcXYZ019_+/=.:~-', 22, 128);

/** A field of one line or several; the names are such that the profile says nothing of them. */
const freeFields = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom('x-a', 'X-B', 'accept', 'User-Agent', 'x_c', 'date', 'cookie'),
    lines: fc.array(line, { minLength: 1, maxLength: 3 }),
    covered: fc.constantFrom('no', 'plain', 'bs', 'both'),
  }),
  { maxLength: 4, selector: ({ name }) => name },
);
const demanded = fc.subarray(['Authorization', 'Idempotency-Key', 'content-encoding', 'Countersign-Narrow']);

export const unsigned: fc.Arbitrary<Unsigned> = fc
  .record({
    method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'M-SEARCH'),
    scheme: fc.constantFrom('http', 'https'),
    authority: fc.constantFrom('api.example', '127.0.0.1:8080', '[::1]:8443'),
    path,
    query,
    body: fc.option(fc.string()),
    free: freeFields,
    demanded,
    line,
    target: fc.constantFrom('uri', 'parts', 'both'),
    request: fc.boolean(),
    life: fc.integer({ min: 1, max: 300 }),
    nonce,
    keyid: text(`${visible} `, 1, 20),
    order: fc.array(fc.nat(), { minLength: 40, maxLength: 40 }),
  })
  .map((drawn) => {
    const { method, scheme, authority, body, free, life, nonce, keyid } = drawn;
    const raw: [string, string][] = [['Host', authority]];
    const covered = ['@method'];
    if (drawn.target !== 'parts') covered.push('@target-uri');
    if (drawn.target !== 'uri') covered.push('@scheme', '@authority', '@path', '@query');
    if (drawn.request) covered.push('@request-target');
    for (const name of drawn.query.names) covered.push(`"@query-param";name="${name}"`);
    if (body !== null) {
      raw.push(['Content-Length', String(Buffer.byteLength(body))], ['Content-Type', 'text/plain']);
      raw.push(['Content-Digest', contentDigest(body)]);
      covered.push('content-type', 'content-digest');
    }
    for (const name of drawn.demanded) {
      raw.push([name, drawn.line]);
      covered.push(name.toLowerCase());
    }
    for (const { name, lines, covered: how } of free) {
      for (const each of lines) raw.push([name, each]);
      const lower = name.toLowerCase();
      if (how === 'plain' || how === 'both') covered.push(lower);
      if (how === 'bs' || how === 'both') covered.push(`"${lower}";bs`);
    }
    const target = drawn.path + (drawn.query.text && `?${drawn.query.text}`);
    const shuffled = covered
      .map((id, i) => ({ id, at: drawn.order[i] ?? 0 }))
      .sort((a, b) => a.at - b.at)
      .map(({ id }) => id);
    return {
      wire: { method, scheme, authority, target, raw },
      covered: shuffled,
      signing: { keyid, nonce, created: NOW, expires: NOW + life },
    };
  });
