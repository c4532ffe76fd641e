/** Two libraries that others wrote for RFC 9421 call us and verify our answers. */
import fc from 'fast-check';
import { httpbis } from 'http-message-signatures';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  component,
  contentDigest,
  coverComponents,
  Fields,
  presentRequest,
  type RequestMessage,
  secretKey,
  signatureBase,
  signRequest,
  signResponse,
  type VerifiedRequest,
  verifyContentDigest,
  verifyRequest,
} from '../../src/signatures/index.ts';
import { grammar } from '../signatures/structured-text.ts';
import {
  ABLE,
  byName,
  KEYID,
  libraries,
  NONCE,
  NOW,
  type Raw,
  SHARED,
  TARGET,
  theirs,
  withSignature,
} from './rfc9421-libraries.ts';

const SECRET = secretKey(SHARED);
const BODY = '{"apples":3}';

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'], now: NOW * 1000 }));
afterEach(() => void vi.useRealTimers());

const sent: Raw = [
  ['Host', 'api.example'],
  ['Content-Type', 'application/json'],
  ['Content-Length', String(BODY.length)],
  ['Content-Digest', contentDigest(BODY)],
  ['Idempotency-Key', '"k-1"'],
  ['Priority', 'u=1, i'],
  ['Accept', 'text/html'],
  ['Accept', 'application/json'],
];
const answered: Raw = [
  ['content-type', 'application/json'],
  ['content-digest', contentDigest('{}')],
  ['countersign-refusal', 'not-found'],
  ['date', 'today'],
];

/** A message of ours. */
const ours = (raw: Raw, target = TARGET, method = 'POST'): RequestMessage => ({
  method,
  scheme: 'https',
  authority: 'api.example',
  target,
  fields: Fields.fromEntries(raw),
});
/** What the gateway does with a request. */
function receive(raw: Raw): VerifiedRequest {
  const presented = presentRequest(ours(raw), { maxLife: 300, skew: 30 }, { conditions: true }, NOW);
  const request = verifyRequest(
    presented,
    presented.presented.parameters.keyid === KEYID ? SECRET : undefined,
  );
  verifyContentDigest(request.digests, Buffer.from(BODY));
  return request;
}

/** Whether a verifier is content; each says no in a way of its own. */
const accepts = async (verdict: Promise<unknown>) => Boolean(await verdict.catch(() => false));

describe.each(libraries)('%s', (library) => {
  const { sign, verifyRequest: verifyTheirs, verifyResponse } = theirs[library];
  const covered = ABLE[library];

  it.each([
    [
      'as little as the profile asks',
      ['@method', '@target-uri', 'content-digest', 'content-type', 'idempotency-key'],
    ],
    [
      'the parts of the target',
      [
        'content-type',
        'content-digest',
        'idempotency-key',
        '@query',
        '@path',
        '@authority',
        '@scheme',
        '@method',
      ],
    ],
    ['all that it is able to', covered],
    ['all that, in another order', covered.toReversed()],
  ])('signs a request that we accept, covering %s', async (_, components) => {
    for (const alg of [undefined, 'hmac-sha256']) {
      const request = receive(await sign(sent, components, alg));
      expect(request.parameters).toMatchObject({
        keyid: KEYID,
        nonce: NONCE,
        created: NOW,
        expires: NOW + 60,
      });
      expect(request.covered.components).toHaveLength(components.length);
    }
  });

  it('signs a request that we refuse once it was changed', async () => {
    const signed = await sign(sent, covered);
    const changed = signed.map(([name, value]) => [name, value === '"k-1"' ? '"k-2"' : value] as const);
    expect(() => receive(changed)).toThrow(expect.objectContaining({ code: 'signature-invalid' }));
  });

  it('accepts a request that we sign, and not once it was changed', async () => {
    const signing = { keyid: KEYID, secret: SECRET, created: NOW, expires: NOW + 60, nonce: NONCE };
    const signed = signRequest(ours(sent), { ...signing, components: covered.map(component) });
    const raw = withSignature(sent, signed);
    expect(await accepts(verifyTheirs(raw))).toBe(true);
    expect(await accepts(verifyTheirs(raw.map(([n, v]) => [n, v === 'text/html' ? '*/*' : v])))).toBe(false);
  });

  it('accepts our answer to its request, and not once answer, status or request was changed', async () => {
    const asked = await sign(sent, covered);
    const signed = withSignature(answered, signResponse(404, answered, receive(asked), NOW));
    const swap = (raw: Raw, from: string, to: string): Raw => raw.map(([n, v]) => [n, v === from ? to : v]);

    expect(signed.find(([name]) => name === 'Signature-Input')?.[1]).toContain('"content-digest";req');
    expect(await accepts(verifyResponse(404, signed, asked))).toBe(true);
    expect(await accepts(verifyResponse(403, signed, asked))).toBe(false);
    expect(await accepts(verifyResponse(404, swap(signed, 'not-found', 'conflict'), asked))).toBe(false);
    expect(await accepts(verifyResponse(404, signed, swap(asked, '"k-1"', '"k-2"')))).toBe(false);
    expect(await accepts(verifyResponse(404, swap(signed, 'today', 'tomorrow'), asked))).toBe(true);
  });
});

describe('the signature base', () => {
  const text = (characters: string, minLength: number) =>
    fc.string({ unit: fc.constantFrom(...characters), minLength, maxLength: 8 });
  const value = text('abc XYZ,;="\\:/\t', 0);
  const target = fc
    .tuple(fc.array(text('abcXYZ09-_~;=:@', 1), { maxLength: 3 }), text('abc09=&%20', 1).map(encodeURI))
    .map(([segments, query]) => `/${segments.join('/')}?note=a%20b&${query.replace('note', '')}`);
  const message = fc.record({
    method: fc.constantFrom('GET', 'POST', 'DELETE'),
    target,
    lines: fc.array(value, { minLength: 1, maxLength: 3 }),
    dictionary: grammar.dictionary.filter((each) => each.includes('=')),
    list: grammar.list,
    item: grammar.item,
  });
  const ids = [
    ...['@method', '@target-uri', '@authority', '@scheme', '@path', '@query', '@request-target'],
    ...['x-lines', '"x-lines";bs', 'priority', '"priority";sf', '"priority";bs', '"cache-status";sf'],
    ...['"idempotency-key";sf', 'idempotency-key', '"@query-param";name="note"'],
  ];

  it('is that of http-message-signatures, for a request and bound to a response', () => {
    fc.assert(
      fc.property(
        message,
        fc.shuffledSubarray(ids),
        ({ lines, dictionary, list, item, ...start }, chosen) => {
          const raw: Raw = [
            ...lines.map((line) => ['X-Lines', line] as const),
            ['Priority', dictionary],
            ['Cache-Status', list],
            ['Idempotency-Key', item],
          ];
          const request = ours(raw, start.target, start.method);
          const theirRequest = {
            method: start.method,
            url: `https://api.example${start.target}`,
            headers: byName(raw),
          };
          const response = { status: 200, headers: {} };
          const serialised = (id: string) => component(id).id;
          const bound = chosen.map((id) => `${serialised(id)};req`);

          const baseOf = (covered: ReturnType<typeof coverComponents>) =>
            signatureBase(covered, '()').replace(/\n?"@signature-params": \(\)$/, '');
          expect(baseOf(coverComponents(chosen.map(component), request))).toBe(
            httpbis.formatSignatureBase(httpbis.createSignatureBase({ fields: chosen }, theirRequest)),
          );
          expect(
            baseOf(coverComponents(bound.map(component), { status: 200, fields: new Fields(), request })),
          ).toBe(
            httpbis.formatSignatureBase(
              httpbis.createSignatureBase({ fields: bound }, response, theirRequest),
            ),
          );
        },
      ),
      { numRuns: 1000 },
    );
  });
});
