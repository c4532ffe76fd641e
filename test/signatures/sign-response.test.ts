/** A response is signed with the key, the nonce and every component of the request that it answers. */
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { isInnerList, parseDictionary, serializeInnerList, serializeItem } from 'structured-headers';
import { describe, expect, it } from 'vitest';
import { verifyHmac } from '../../src/signatures/hmac.ts';
import {
  coverComponents,
  Fields,
  type ResponseMessage,
  readSignature,
  signatureBase,
  signResponse,
  type VerifiedRequest,
  verifyRequest,
} from '../../src/signatures/index.ts';
import { present, refusalOf, SECRET } from './requests.ts';
import { read, sign, type Unsigned, unsigned } from './signed-requests.ts';

const LATER = 1_790_000_005;

const request: Unsigned = {
  wire: {
    method: 'GET',
    scheme: 'https',
    authority: 'api.example',
    target: '/orders?state=open',
    raw: [
      ['Host', 'api.example'],
      ['Accept', 'a'],
      ['Accept', 'b'],
    ],
  },
  covered: ['@target-uri', '"@query-param";name="state"', '@method', '"accept";bs', 'accept'],
  signing: {
    keyid: 'orders-1',
    nonce: '0123456789abcdefghijkl',
    created: 1_790_000_000,
    expires: 1_790_000_060,
  },
};
const OF_REQUEST = [
  '"@target-uri";req',
  '"@query-param";name="state";req',
  '"@method";req',
  '"accept";bs;req',
  '"accept";req',
];

const verified = (each: Unsigned = request) => verifyRequest(present(read(sign(each))), SECRET);
type Sent = readonly (readonly [string, string])[];

/** Signature-Input as the other package reads it. */
function inputOf(signatureInput: string) {
  const [member, ...rest] = [...parseDictionary(signatureInput).values()];
  if (!member || !isInnerList(member) || rest.length > 0) throw new Error('Not one list.');
  return {
    ids: member[0].map((item) => serializeItem(item)),
    parameters: member[1],
    text: serializeInnerList(member),
  };
}

/** The base and its MAC from RFC 9421 alone: nothing here comes from the code under test. */
function independentMac(
  status: number,
  sent: Sent,
  signatureInput: string,
  ofRequest: Record<string, string>,
) {
  const { ids, text } = inputOf(signatureInput);
  const lines = ids.map((id) => {
    const lower = id.slice(1, -1);
    const values = sent.filter(([name]) => name.toLowerCase() === lower).map(([, value]) => value.trim());
    const value =
      id === '"@status"' ? String(status) : id.endsWith(';req') ? ofRequest[id] : values.join(', ');
    return `${id}: ${value}\n`;
  });
  const base = `${lines.join('')}"@signature-params": ${text}`;
  return createHmac('sha256', Buffer.alloc(64, 7)).update(base).digest('base64');
}

/** Verifies as a client does. */
function holds(signed: ReturnType<typeof signResponse>, response: ResponseMessage): boolean {
  const fields = Fields.fromEntries([
    ...response.fields.entries(),
    ['Signature-Input', signed.signatureInput],
    ['Signature', signed.signature],
  ]);
  const presented = readSignature(fields, 'countersign-response-v1');
  const base = signatureBase(coverComponents(presented.components, response), presented.signatureParams);
  return verifyHmac(SECRET, base, presented.signature);
}

const covered: Sent = [
  ['content-digest', 'sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:'],
  ['content-type', 'application/json'],
  ['content-encoding', 'gzip'],
  ['location', '/orders/17'],
  ['etag', '"x"'],
  ['retry-after', '3'],
  ['ratelimit', '"hour";r=9'],
  ['ratelimit-policy', '"hour";q=10'],
  ['idempotent-replayed', 'true'],
  ['countersign-refusal', 'not-found'],
  ['countersign-unheard-of', 'x'],
];
const uncovered: Sent = [
  ['date', 'today'],
  ['content-length', '0'],
  ['cache-control', 'no-store, no-transform'],
  ['vary', 'accept'],
  ['x-ratelimit-limit', '1'],
  ['x-countersign-a', '1'],
  ['content-type-options', '1'],
  ['set-cookie', 'a=1'],
];

describe('a signed response', () => {
  it('covers its status, its own fields in the order sent, and everything of the request', () => {
    const { signatureInput } = signResponse(404, [...uncovered, ...covered], verified(), LATER);
    const own = covered.map(([name]) => `"${name}"`);
    expect(inputOf(signatureInput).ids).toEqual(['"@status"', ...own, ...OF_REQUEST]);
  });

  it('covers no field that is not sent', () => {
    expect(inputOf(signResponse(204, [], verified(), LATER).signatureInput).ids).toEqual([
      '"@status"',
      ...OF_REQUEST,
    ]);
  });

  it('bears the nonce and the keyid of the request, and its own times and tag', () => {
    const { parameters } = inputOf(signResponse(200, covered, verified(), LATER).signatureInput);
    expect(Object.fromEntries(parameters)).toEqual({
      created: LATER,
      expires: LATER + 60,
      nonce: request.signing.nonce,
      keyid: request.signing.keyid,
      alg: 'hmac-sha256',
      tag: 'countersign-response-v1',
    });
  });

  it('bears the MAC of a base that was put together from the RFC alone', () => {
    const sent = [...covered, ...uncovered];
    const { signatureInput, signature } = signResponse(200, sent, verified(), LATER);
    const mac = independentMac(200, sent, signatureInput, {
      '"@target-uri";req': 'https://api.example/orders?state=open',
      '"@query-param";name="state";req': 'open',
      '"@method";req': 'GET',
      '"accept";bs;req': ':YQ==:, :Yg==:',
      '"accept";req': 'a, b',
    });
    expect(signature).toBe(`cs=:${mac}:`);
  });

  it('covers a field that is sent in several lines once, in whatever case and spacing it is sent', () => {
    const sent: Sent = [
      ['RateLimit', ' "a" '],
      ['Countersign-X', '1'],
      ['ratelimit', '"b"\t'],
    ];
    const signed = signResponse(200, sent, verified(), LATER);
    expect(inputOf(signed.signatureInput).ids).toEqual([
      '"@status"',
      '"ratelimit"',
      '"countersign-x"',
      ...OF_REQUEST,
    ]);
    expect(signed.base).toContain('"ratelimit": "a", "b"\n');
    expect(
      holds(signed, { status: 200, fields: Fields.fromEntries(sent), request: verified().message }),
    ).toBe(true);
  });

  it('refuses to sign a value that no two readers read alike', () => {
    for (const value of ['caf\u00e9', 'a\nb', '\u20ac']) {
      expect(refusalOf(() => signResponse(302, [['location', value]], verified(), LATER)).code).toBe(
        'signature-policy',
      );
    }
    expect(() => signResponse(302, [['x', 'caf\u00e9']], verified(), LATER)).not.toThrow();
  });

  it('can be read by a client whatever its request covered, up to the limits of a request', () => {
    const raw = Array.from({ length: 30 }, (_, i) => [`x-${i}-${'n'.repeat(105)}`, 'v'] as const);
    const names = raw.map(([name]) => name);
    const largest = {
      ...request,
      wire: { ...request.wire, raw },
      covered: ['@method', '@target-uri', ...names],
    };
    expect(read(sign(largest)).fields.get('signature-input')?.length).toBeGreaterThan(3500);
    const full = verified(largest);
    const signed = signResponse(200, covered, full, LATER);
    expect(holds(signed, { status: 200, fields: Fields.fromEntries(covered), request: full.message })).toBe(
      true,
    );
  });

  it('verifies for every request, and for no other status, field or request', () => {
    const status = fc.integer({ min: 200, max: 599 });
    const subset = fc.shuffledSubarray([...covered, ...uncovered]);
    fc.assert(
      fc.property(unsigned, unsigned, status, subset, (one, another, code, sent) => {
        const to: VerifiedRequest = verified(one);
        const response = { status: code, fields: Fields.fromEntries(sent), request: to.message };
        const signed = signResponse(code, sent, to, LATER);
        expect(holds(signed, response)).toBe(true);
        expect(holds(signed, { ...response, status: code + 1 })).toBe(false);
        for (const [name] of sent) {
          if (uncovered.some(([each]) => each === name)) continue;
          const fields = Fields.fromEntries(sent);
          fields.set(name, 'other');
          expect(holds(signed, { ...response, fields })).toBe(false);
        }
        const asked = { ...to.message, method: another.wire.method, target: another.wire.target };
        const same = asked.method === to.message.method && asked.target === to.message.target;
        expect(judge(signed, { ...response, request: asked })).toBe(same);
      }),
      { numRuns: 300 },
    );

    /** A parameter of the query may be gone in the other request: that is a refusal too. */
    function judge(signed: ReturnType<typeof signResponse>, response: ResponseMessage): boolean {
      try {
        return holds(signed, response);
      } catch {
        return false;
      }
    }
  });
});

describe('a message of one kind', () => {
  const fieldsOf = (signed: { signatureInput: string; signature: string }) =>
    Fields.fromEntries([
      ['signature-input', signed.signatureInput],
      ['signature', signed.signature],
    ]);

  it('is never taken for one of another', () => {
    const asResponse = fieldsOf(signResponse(200, [], verified(), LATER));
    const asRequest = read(sign(request)).fields;
    const asUpstream = read(
      sign({ ...request, signing: { ...request.signing, tag: 'countersign-upstream-v1' } }),
    ).fields;
    const tags = ['countersign-request-v1', 'countersign-response-v1', 'countersign-upstream-v1'] as const;
    for (const [own, fields] of [
      ['countersign-response-v1', asResponse],
      ['countersign-request-v1', asRequest],
      ['countersign-upstream-v1', asUpstream],
    ] as const) {
      for (const tag of tags) {
        if (tag === own) expect(readSignature(fields, tag).parameters.tag).toBe(tag);
        else expect(refusalOf(() => readSignature(fields, tag)).code).toBe('signature-policy');
      }
    }
  });
});
