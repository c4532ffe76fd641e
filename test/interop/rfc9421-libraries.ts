/**
 * Two libraries that others wrote for RFC 9421, behind one interface. Neither knows the whole of the RFC:
 * - `http-message-signatures` knows `;req`, `;sf`, `;bs`, `;key` and `@query-param`, but reads every target through
 *   `new URL()`, writes the decimal 1.0 as 1 and doesn't encode `!'()~` in `@query-param`.
 * - `http-message-sig` knows `;req` and `;key`, and refuses `;sf`, `;bs` and `@query-param`. It brings no HMAC, so
 *   that its signer and verifier here are node:crypto's.
 * @module
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import * as sig from 'http-message-sig';
import { createSigner, createVerifier, httpbis } from 'http-message-signatures';
import { Fields } from '../../src/signatures/index.ts';

export const NOW = 1_790_000_000;
export const SHARED = Buffer.alloc(64, 9);
export const KEYID = 'orders-1';
export const NONCE = 'b3k2pp5k7z-50gnwp.yemd';
export const TARGET = '/orders/17?state=open&note=a%20b';
const uri = `https://api.example${TARGET}`;

export type Raw = readonly (readonly [name: string, value: string])[];

/** Fields by name, several lines as a list: the shape of http-message-signatures. */
export function byName(raw: Raw): Record<string, string | string[]> {
  const fields = Fields.fromEntries(raw);
  return Object.fromEntries([...fields.names()].map((name) => [name, [...fields.lines(name)]]));
}
const asList = (raw: Raw) => raw.map(([name, value]) => ({ name, value }));
export const withSignature = (raw: Raw, signed: { signatureInput: string; signature: string }): Raw => [
  ...raw,
  ['Signature-Input', signed.signatureInput],
  ['Signature', signed.signature],
];

const hmac = {
  algorithm: 'hmac-sha256',
  sign: (data: Uint8Array) => createHmac('sha256', SHARED).update(data).digest(),
  verify: (data: Uint8Array, signature: Uint8Array) =>
    signature.length === 32 && timingSafeEqual(createHmac('sha256', SHARED).update(data).digest(), signature),
};

/** Each covers as much as it is able to. */
export const ABLE = {
  'http-message-signatures': [
    '@method',
    '@target-uri',
    '@authority',
    '@scheme',
    '@path',
    '@query',
    '@request-target',
    '"@query-param";name="note"',
    'content-digest',
    'content-type',
    'idempotency-key',
    'accept',
    '"accept";bs',
    '"priority";sf',
    '"priority";key="u"',
    '"content-digest";key="sha-256"',
  ],
  'http-message-sig': [
    '@method',
    '@target-uri',
    '@authority',
    '@scheme',
    '@path',
    '@query',
    '@request-target',
    'content-digest',
    'content-type',
    'idempotency-key',
    'accept',
    '"priority";key="u"',
    '"content-digest";key="sha-256"',
  ],
};
export type Library = keyof typeof ABLE;
export const libraries = Object.keys(ABLE) as Library[];

/** `"a";key="u"` as http-message-sig wants it. */
function asComponent(id: string) {
  const key = /^"(.*)";key="(.*)"$/.exec(id);
  return key ? sig.component(key[1] as string, { key: key[2] as string }) : id;
}

export interface Stranger {
  sign(raw: Raw, covered: readonly string[], alg?: string): Promise<Raw>;
  verifyRequest(raw: Raw): Promise<unknown>;
  verifyResponse(status: number, raw: Raw, request: Raw): Promise<unknown>;
}

export const theirs: Record<Library, Stranger> = {
  'http-message-signatures': {
    async sign(raw, covered, alg) {
      const params = ['created', 'expires', 'nonce', 'keyid', ...(alg ? ['alg'] : []), 'tag'];
      const { headers } = await httpbis.signMessage(
        {
          key: createSigner(SHARED, 'hmac-sha256', KEYID),
          fields: [...covered],
          params,
          paramValues: {
            created: new Date(NOW * 1000),
            expires: new Date((NOW + 60) * 1000),
            nonce: NONCE,
            tag: 'countersign-request-v1',
            ...(alg ? { alg } : {}),
          },
        },
        { method: 'POST', url: uri, headers: byName(raw) },
      );
      return Object.entries(headers).flatMap(([name, value]) =>
        [value].flat().map((line): [string, string] => [name, line]),
      );
    },
    verifyRequest: (raw) =>
      httpbis.verifyMessage(lookup(), { method: 'POST', url: uri, headers: byName(raw) }),
    verifyResponse: (status, raw, request) =>
      httpbis.verifyMessage(
        lookup(),
        { status, headers: byName(raw) },
        { method: 'POST', url: uri, headers: byName(request) },
      ),
  },
  'http-message-sig': {
    async sign(raw, covered, alg) {
      const signed = await sig.createSignature(asRequest(raw), {
        label: 'any',
        components: covered.map(asComponent),
        parameters: {
          tag: 'countersign-request-v1',
          keyid: KEYID,
          nonce: NONCE,
          expires: NOW + 60,
          created: NOW,
          ...(alg ? { alg } : {}),
        },
        signer: hmac,
      });
      return withSignature(raw, signed);
    },
    verifyRequest: (raw) => sig.verifySignature(asRequest(raw), policy()),
    verifyResponse: (status, raw, request) =>
      sig.verifySignature(
        { kind: 'response', status, fields: asList(raw), request: asRequest(request) },
        policy(),
      ),
  },
};

function lookup() {
  const key = { id: KEYID, algs: ['hmac-sha256'], verify: createVerifier(SHARED, 'hmac-sha256') };
  return { keyLookup: async ({ keyid }: { keyid?: string }) => (keyid === KEYID ? key : null), all: true };
}

function policy() {
  const requiredParameters = ['created', 'expires', 'nonce', 'keyid', 'alg', 'tag'];
  return {
    policy: { algorithms: ['hmac-sha256'], requiredComponents: [], requiredParameters, now: NOW, maxAge: 60 },
    resolveVerifier: () => hmac,
  };
}

function asRequest(raw: Raw) {
  return {
    kind: 'request' as const,
    method: 'POST',
    targetUri: uri,
    requestTarget: TARGET,
    fields: asList(raw),
  };
}
