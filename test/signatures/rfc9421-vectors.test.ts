/** RFC 9421 Appendix B.2: the signature bases that the RFC itself gives. */
import { describe, expect, it } from 'vitest';
import { readContentDigest, verifyContentDigest } from '../../src/signatures/content-digest.ts';
import { verifyHmac } from '../../src/signatures/hmac.ts';
import {
  coverComponents,
  Fields,
  type RequestMessage,
  type ResponseMessage,
  secretKey,
  signatureBase,
} from '../../src/signatures/index.ts';
import { component } from '../../src/signatures/sign.ts';
import {
  isInnerList,
  parseDictionary,
  serializeItem,
  serializeMember,
} from '../../src/signatures/structured-fields.ts';
import vectors from '../vectors/rfc9421-appendix-b2.json' with { type: 'json' };

const uri = new URL(vectors.test_request.target_uri);
const entries = (headers: string[][]) => headers.map(([name = '', value = '']) => [name, value] as const);
const request: RequestMessage = {
  method: vectors.test_request.method,
  scheme: 'https',
  authority: uri.host,
  target: uri.pathname + uri.search,
  fields: Fields.fromEntries(entries(vectors.test_request.headers)),
};
const response: ResponseMessage = {
  status: vectors.test_response.status,
  fields: Fields.fromEntries(entries(vectors.test_response.headers)),
  request,
};

/** Reads a case as a verifier would, from its Signature-Input and Signature fields. */
function baseOf({ target, signature_input, label }: (typeof vectors.cases)[number]): string {
  const member = parseDictionary(signature_input).get(label);
  if (!member || !isInnerList(member.value)) throw new Error('The vector has no inner list.');
  const components = member.value.items.map((item) => component(serializeItem(item)));
  expect(serializeMember(member.value)).toBe(member.source);
  return signatureBase(
    coverComponents(components, target === 'response' ? response : request),
    member.source,
  );
}

describe('RFC 9421 appendix B.2', () => {
  it('has all six sections', () => {
    expect(vectors.cases.map(({ section }) => section)).toEqual([
      'B.2.1',
      'B.2.2',
      'B.2.3',
      'B.2.4',
      'B.2.5',
      'B.2.6',
    ]);
  });

  it.each(vectors.cases)('$section $title: the signature base is the one given', (each) => {
    expect(baseOf(each)).toBe(each.signature_base);
  });

  it('B.2.5: the HMAC holds, and a damaged one does not', () => {
    const each = vectors.cases.find(({ section }) => section === 'B.2.5');
    if (!each) throw new Error('B.2.5 is missing.');
    const value = parseDictionary(each.signature).get(each.label)?.value;
    if (!value || isInnerList(value) || value.bare.type !== 'binary') throw new Error('Not a byte sequence.');
    const key = secretKey(vectors.test_shared_secret_b64);
    const mac = value.bare.value;
    expect(verifyHmac(key, baseOf(each), mac)).toBe(true);
    expect(verifyHmac(key, `${baseOf(each)} `, mac)).toBe(false);
    expect(verifyHmac(key, baseOf(each), mac.subarray(0, 31))).toBe(false);
    mac[0] = (mac[0] as number) ^ 1;
    expect(verifyHmac(key, baseOf(each), mac)).toBe(false);
  });

  it.each([
    ['request', request.fields, vectors.test_request.body],
    ['response', response.fields, vectors.test_response.body],
  ])('the content digest of the test %s is that of its body', (_, fields, body) => {
    const digests = readContentDigest(fields.get('content-digest') ?? '');
    expect(() => verifyContentDigest(digests, Buffer.from(body))).not.toThrow();
    expect(() => verifyContentDigest(digests, Buffer.from(`${body} `))).toThrow(
      expect.objectContaining({ code: 'digest-mismatch' }),
    );
  });
});
