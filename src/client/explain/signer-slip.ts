/**
 * Where the MAC of a recorded request doesn't hold: what else it could have been made over, or with. Each usual slip is
 * tried in turn against the MAC, so that what is named was proved, not guessed.
 * @module
 */
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { RequestMessage } from '../../signatures/components.ts';
import type { PresentedSignature } from '../../signatures/signature-input.ts';
import type { Cause } from './cause.ts';
import { baseText, type OurLine, ourLines } from './comparison.ts';
import { normalAuthority, type RecordedRequest } from './recorded-request.ts';
import { digestVariants, fieldVariants, targetVariants, type Variant } from './variants.ts';

export interface Attempt {
  readonly recorded: RecordedRequest;
  readonly message: RequestMessage;
  readonly presented: PresentedSignature;
  readonly secret: KeyObject;
  /** Other hosts that the request may have been signed for. */
  readonly authorities: readonly string[];
}

export function macHolds(secret: KeyObject | Buffer, base: string, signature: Buffer): boolean {
  const expected = createHmac('sha256', secret).update(base).digest();
  return signature.length === expected.length && timingSafeEqual(expected, signature);
}

/** The slip that the MAC proves; undefined where none of the known ones does. */
export function findSlip(attempt: Attempt): Cause | undefined {
  const { message, presented, secret } = attempt;
  const lines = ourLines(message, presented);
  const holds = (candidate: readonly OurLine[]) => {
    const base = baseText(candidate);
    return base !== undefined && macHolds(secret, base, presented.signature);
  };
  const holdsFor = (other: RequestMessage) => holds(ourLines(other, presented));

  const base = baseText(lines);
  const malformed =
    base === undefined ? undefined : (malformedBase(base, attempt) ?? wrongKey(base, attempt));
  if (malformed) return malformed;
  for (const { code, value, how, message: other } of otherMessages(attempt)) {
    if (holdsFor(other)) {
      return {
        code,
        detail: `What was signed is ${value}: the signer signed the request ${how}, or something between the signer and where this was recorded changed it. Sign what is sent, and let it pass unchanged.`,
      };
    }
  }
  for (const { id, variant } of otherValues(attempt, lines)) {
    const changed = lines.map((line) => (line.id === id ? { ...line, value: variant.value } : line));
    if (holds(changed)) {
      return {
        code: variant.code,
        detail: `What was signed is ${id} ${variant.how}. In the file it stands otherwise: sign what is sent, as RFC 9421 section 2 reads it.`,
      };
    }
  }
  return undefined;
}

interface OtherMessage extends Variant {
  readonly message: RequestMessage;
}

function* otherMessages({ message, authorities }: Attempt): Iterable<OtherMessage> {
  for (const scheme of [message.scheme, message.scheme === 'https' ? 'http' : 'https'] as const) {
    const withPort = `${message.authority}${scheme === 'https' ? ':443' : ':80'}`;
    for (const host of new Set([message.authority, withPort, ...authorities])) {
      const authority = normalAuthority(scheme, host);
      const other = { ...message, scheme, authority };
      const value = `${scheme}://${authority}`;
      if (authority !== message.authority) {
        yield { code: 'host-changed', value, how: 'for another host', message: other };
      } else yield { code: 'scheme-changed', value, how: 'for the other scheme', message: other };
      if (host !== authority) {
        const how = `for "${host}"; it is signed in small letters, without the port of its scheme`;
        yield { code: 'base-malformed', value: host, how, message: { ...other, authority: host } };
      }
    }
  }
  for (const variant of targetVariants(message.target)) {
    yield { ...variant, message: { ...message, target: variant.value } };
  }
  for (const method of [message.method.toUpperCase(), message.method.toLowerCase()]) {
    yield {
      code: 'method-changed',
      value: method,
      how: 'with its method written otherwise',
      message: { ...message, method },
    };
  }
}

function* otherValues(
  { recorded }: Attempt,
  lines: readonly OurLine[],
): Iterable<{ readonly id: string; readonly variant: Variant }> {
  for (const { id, component, value = '' } of lines) {
    if (component?.name === '@query') {
      yield { id, variant: { code: 'query-missing', value: value.slice(1), how: 'without its "?"' } };
    }
    if (!component || component.name.startsWith('@')) continue;
    if (component.name === 'content-digest') {
      for (const variant of digestVariants(recorded.body)) yield { id, variant };
    }
    if (component.form === 'plain') {
      const values = recorded.lines.filter(([name]) => name.toLowerCase() === component.name);
      for (const variant of fieldVariants(values.map(([, line]) => line))) yield { id, variant };
    }
  }
}

/** The same lines, put together otherwise than RFC 9421 section 2.5 does. */
function malformedBase(
  base: string,
  { presented: { signature, label }, secret }: Attempt,
): Cause | undefined {
  const params = base.lastIndexOf('\n') + 1;
  const [before, last] = [base.slice(0, params), base.slice(params)];
  const bases: [how: string, text: string][] = [
    ['with a line break after its last line; there is none', `${base}\n`],
    ['with CRLF between its lines; it is LF alone', base.replaceAll('\n', '\r\n')],
    ['with "@signature-params" without its quotes', before + last.replace(/^"(@signature-params)"/, '$1')],
    ['with its names without their quotes', base.replace(/^"([^"]*)"/gm, '$1')],
    ['without its last line, "@signature-params"', before.slice(0, -1)],
    [
      'with the label in its last line',
      last.replace(': ', `: ${label}=`) && before + last.replace(': ', `: ${label}=`),
    ],
    ['without the space after each colon', base.replace(/^("[^"\n]*"[^\n:]*): /gm, '$1:')],
  ];
  for (const [how, text] of bases) {
    if (macHolds(secret, text, signature)) {
      return {
        code: 'base-malformed',
        detail: `The secret is right. The signer builds the signature base ${how} (RFC 9421 section 2.5).`,
      };
    }
  }
  return undefined;
}

/** The right secret, taken otherwise than as the bytes that its base64 stands for. */
function wrongKey(base: string, { presented: { signature }, secret }: Attempt): Cause | undefined {
  const bytes = secret.export();
  const text = bytes.toString('base64');
  const keys: [how: string, key: string][] = [
    ['the base64 text itself', text],
    ['the base64 text with a line break after it', `${text}\n`],
    ['the base64 text without its "="', text.replace(/=+$/, '')],
    ['the base64url text', bytes.toString('base64url')],
    ['its hex text', bytes.toString('hex')],
  ];
  for (const [how, key] of keys) {
    if (macHolds(Buffer.from(key), base, signature)) {
      return {
        code: 'secret-wrong',
        detail: `The signer takes ${how} as the key. The key is the bytes: decode the secret from base64 first.`,
      };
    }
  }
  const mac = createHmac('sha256', secret).update(base).digest('hex');
  if (signature.equals(Buffer.from(mac, 'base64')) || signature.toString('latin1') === mac) {
    return {
      code: 'base-malformed',
      detail: 'The secret and the base are right. The MAC was written in hex; Signature wants it in base64.',
    };
  }
  return undefined;
}
