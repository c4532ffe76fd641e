/** The profile's rules for a request: what must be covered, and for how long it lives. */
import { describe, expect, it } from 'vitest';
import { contentDigest } from '../../src/signatures/content-digest.ts';
import { judgeTimes } from '../../src/signatures/request-profile.ts';
import {
  BODY,
  type Changes,
  get,
  innerList,
  LIFE,
  NOW,
  post,
  present,
  WITH_BODY,
  WITHOUT_BODY,
} from './requests.ts';
import { holdRules, type Rule } from './rule-table.ts';

const without = (list: readonly string[], ...names: string[]) => list.filter((each) => !names.includes(each));
const parts = ['"@scheme"', '"@authority"', '"@path"', '"@query"'];

describe('covered in every request', () => {
  holdRules(get, [
    ['@method and @target-uri are enough', {}, 'accepted'],
    ['@method and the four parts are enough', { covered: ['"@method"', ...parts] }, 'accepted'],
    ['in any order', { covered: [...parts.toReversed(), '"@method"'] }, 'accepted'],
    ['nothing', { covered: [] }, 'signature-policy', '"@method"'],
    ['no @method', { covered: ['"@target-uri"'] }, 'signature-policy', '"@method"'],
    ['no target', { covered: ['"@method"'] }, 'signature-policy', '@target-uri'],
    ...parts.map(
      (part): Rule => [
        `the four parts without ${part}`,
        { covered: ['"@method"', ...without(parts, part)] },
        'signature-policy',
        part,
      ],
    ),
    [
      '@request-target in place of the target',
      { covered: ['"@method"', '"@request-target"', '"@scheme"', '"@authority"'] },
      'signature-policy',
      '"@path"',
    ],
    ['any field that is present', { alsoCovered: ['"host"'] }, 'accepted'],
    ['a field that is absent', { alsoCovered: ['"date"'] }, 'accepted'],
  ]);
});

describe('covered with a body', () => {
  const length = String(BODY.length);
  holdRules(post, [
    ['digest and type', {}, 'accepted'],
    ['no digest covered', { covered: without(WITH_BODY, '"content-digest"') }, 'signature-policy', 'digest'],
    [
      'no type covered',
      { covered: without(WITH_BODY, '"content-type"') },
      'signature-policy',
      'content-type',
    ],
    ['no digest sent', { fields: { 'content-digest': undefined } }, 'signature-policy', 'Content-Digest'],
    ['no type sent', { fields: { 'content-type': undefined } }, 'signature-policy', 'Content-Type'],
    [
      'the digest covered by one of its members',
      { covered: [...without(WITH_BODY, '"content-digest"'), '"content-digest";key="sha-256"'] },
      'signature-policy',
      'must cover "content-digest"',
    ],
    [
      'the type covered as bytes',
      { covered: [...without(WITH_BODY, '"content-type"'), '"content-type";bs'] },
      'signature-policy',
      'must cover "content-type"',
    ],
    ['the type covered in both ways', { alsoCovered: ['"content-type";bs'] }, 'accepted'],
  ]);
  holdRules(get, [
    ['on GET too', { fields: { 'content-length': length } }, 'signature-policy', 'Content-Digest'],
    ['in chunks', { fields: { 'transfer-encoding': 'chunked' } }, 'signature-policy', 'Content-Digest'],
    [
      'in chunks, whatever Content-Length says',
      { fields: { 'transfer-encoding': 'chunked', 'content-length': '0' } },
      'signature-policy',
      'Content-Digest',
    ],
    ['two lengths', { fields: { 'content-length': ['0', '5'] } }, 'signature-policy', 'Content-Digest'],
    ['a length of nothing is no body', { fields: { 'content-length': '0' } }, 'accepted'],
    ['in many zeros', { fields: { 'content-length': '000' } }, 'accepted'],
    ['an empty length', { fields: { 'content-length': '' } }, 'signature-policy', 'Content-Digest'],
  ]);
});

describe('covered where present', () => {
  const always = [
    'content-digest',
    'content-encoding',
    'idempotency-key',
    'authorization',
    'countersign-narrow',
  ];
  const conditions = ['if-match', 'if-none-match', 'if-range', 'if-unheard-of', 'range', 'prefer'];
  const lineOf = (name: string) => (name === 'content-digest' ? contentDigest('') : 'x');
  const sent = (name: string) => ({ [name]: lineOf(name) });
  holdRules(get, [
    ...always.flatMap((name): Rule[] => [
      [`${name} uncovered`, { fields: sent(name) }, 'signature-policy', `"${name}"`],
      [`${name} uncovered, and empty`, { fields: { [name]: '' } }, 'signature-policy', `"${name}"`],
      [`${name} covered`, { fields: sent(name), alsoCovered: [`"${name}"`] }, 'accepted'],
      [
        `${name} covered as bytes`,
        { fields: sent(name), alsoCovered: [`"${name}";bs`] },
        'signature-policy',
        `"${name}"`,
      ],
    ]),
    ...conditions.flatMap((name): Rule[] => [
      [`${name} uncovered`, { fields: sent(name) }, 'accepted'],
      [
        `${name} uncovered on the management API`,
        { fields: sent(name), conditions: true },
        'signature-policy',
        `"${name}"`,
      ],
      [
        `${name} covered on the management API`,
        { fields: sent(name), alsoCovered: [`"${name}"`], conditions: true },
        'accepted',
      ],
    ]),
    ['an uncovered field that the gateway never reads', { fields: { accept: '*/*' } }, 'accepted'],
  ]);
});

describe("the gateway's own fields", () => {
  const names = ['countersign-roles', 'Countersign-Consumer', 'Countersign_Roles', 'COUNTERSIGN_NARROW'];
  const more = ['countersign-', 'countersign-narrow-', 'countersign_request-id'];
  holdRules(
    get,
    [...names, ...more].flatMap((name): Rule[] => [
      [`${name} uncovered`, { fields: { [name]: 'admin' } }, 'signature-policy', "gateway's own"],
      [
        `${name} covered`,
        { fields: { [name]: 'admin' }, alsoCovered: [`"${name.toLowerCase()}"`] },
        'signature-policy',
        "gateway's own",
      ],
    ]),
  );
});

describe('digest', () => {
  const sha512 = `sha-512=:${Buffer.alloc(64, 3).toString('base64')}:`;
  const digest = (value: string | readonly string[]): Changes => ({ fields: { 'content-digest': value } });
  holdRules(post, [
    ['sha-256', {}, 'accepted'],
    ['sha-512', digest(sha512), 'accepted'],
    ['both', digest(`${contentDigest(BODY)}, ${sha512}`), 'accepted'],
    ['both, in two lines', digest([contentDigest(BODY), sha512]), 'accepted'],
    ['none in the field', digest(''), 'signature-policy', 'empty'],
    ['md5', digest('md5=:rL0Y20zC+Fzt72VPzMSk2A==:'), 'signature-policy', '"md5"'],
    ['sha-1 beside sha-256', digest(`${contentDigest(BODY)}, sha=:AAAA:`), 'signature-policy', '"sha"'],
    ['an unknown one first', digest(`x=1, ${contentDigest(BODY)}`), 'signature-policy', '"x"'],
    ['sha-256 as a string', digest('sha-256="abc"'), 'signature-malformed', 'byte sequence'],
    ['sha-256 without a value', digest('sha-256'), 'signature-malformed', 'byte sequence'],
    ['sha-256 as a list', digest('sha-256=(:AAAA:)'), 'signature-malformed', 'byte sequence'],
    ['sha-256 twice', digest([contentDigest(BODY), contentDigest('x')]), 'signature-malformed', 'twice'],
    ['no dictionary', digest('SHA-256=abc'), 'signature-malformed', 'parse'],
    ['a name of every object', digest('constructor=:AAAA:'), 'signature-policy', '"constructor"'],
  ]);

  it('hands on every digest that is present', () => {
    const request = post({ fields: { 'content-digest': `${contentDigest(BODY)}, ${sha512}` } });
    expect([...present(request).digests.keys()]).toEqual(['sha-256', 'sha-512']);
    expect(present(get()).digests.size).toBe(0);
  });
});

describe('parameters', () => {
  const nonce = (text: string): Changes => ({ parameters: { nonce: `"${text}"` } });
  const life = (created: number, expires: number): Changes => ({
    parameters: { created: String(created), expires: String(expires) },
  });
  const wrong: Record<string, readonly string[]> = {
    created: ['"1790000000"', '1790000000.0', '-1', '?0', ':AAAA:', 'now'],
    expires: ['"1790000060"', '1790000060.0', '-1', '?0', ':AAAA:', 'never'],
    nonce: ['1', 'abcdefghijklmnopqrstuvwxyz', '?0', ':AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==:'],
    keyid: ['1', 'orders-1', '?0', ':AAAA:', '""', `"${'k'.repeat(129)}"`],
    tag: ['1', 'countersign-request-v1', '?0', ':AAAA:', '""'],
    alg: ['1', 'hmac-sha256', '?0', ':AAAA:'],
  };
  holdRules(get, [
    ...['created', 'expires', 'nonce', 'keyid', 'tag'].map(
      (name): Rule => [`no ${name}`, { parameters: { [name]: undefined } }, 'signature-policy', name],
    ),
    ...Object.entries(wrong).flatMap(([name, values]) =>
      values.map(
        (value): Rule => [`${name}=${value}`, { parameters: { [name]: value } }, 'signature-policy', name],
      ),
    ),
    ['an unknown one', { parameters: { extra: '1' } }, 'signature-policy', '"extra"'],
    ['an unknown flag', { signatureInput: `cs=${innerList(WITHOUT_BODY)};x` }, 'signature-policy', '"x"'],
    ...['created=1', 'nonce="x"', 'tag="countersign-request-v1"', 'keyid="orders-1"'].map(
      (again): Rule => [
        `${again} once more`,
        { signatureInput: `cs=${innerList(WITHOUT_BODY)};${again}` },
        'signature-malformed',
        'twice',
      ],
    ),
    ['in any order', { signatureInput: `cs=${shuffled()}` }, 'accepted'],
    ['alg of the profile', { parameters: { alg: '"hmac-sha256"' } }, 'accepted'],
    ['another alg is answered as a bad MAC is, not here', { parameters: { alg: '"none"' } }, 'accepted'],
    ['keyid of 128 characters', { parameters: { keyid: `"${'k'.repeat(128)}"` } }, 'accepted'],

    ['a life of 1 s', life(NOW, NOW + 1), 'accepted'],
    ['a life of 300 s', life(NOW, NOW + 300), 'accepted'],
    ['a life of 301 s', life(NOW, NOW + 301), 'signature-policy', '301 s'],
    ['no life', life(NOW, NOW), 'signature-policy', 'after "created"'],
    ['a life that ends before it begins', life(NOW, NOW - 1), 'signature-policy', 'after "created"'],
    ['created in milliseconds', life(NOW * 1000, NOW * 1000 + 60), 'signature-policy', '24 h'],
    ['created 24 h ahead', life(NOW + 86_400, NOW + 86_460), 'accepted'],
    ['created a second more ahead', life(NOW + 86_401, NOW + 86_460), 'signature-policy', '24 h'],
    ['long ago, which is judged when the MAC holds', life(0, 1), 'accepted'],

    ['a nonce of 21 characters', nonce('a'.repeat(21)), 'signature-policy', 'nonce'],
    ['a nonce of 22 characters', nonce('a'.repeat(22)), 'accepted'],
    ['a nonce of 128 characters', nonce('a'.repeat(128)), 'accepted'],
    ['a nonce of 129 characters', nonce('a'.repeat(129)), 'signature-policy', 'nonce'],
    ['a nonce of all its characters', nonce('azAZ09_+/=.:~-azAZ09_+/=.:~-'), 'accepted'],
    ...[' ', '!', ',', ';', '\\"', '%', '@', '|'].map(
      (character): Rule => [
        `a nonce with ${character}`,
        nonce(`${'a'.repeat(30)}${character}`),
        'signature-policy',
        'nonce',
      ],
    ),
  ]);

  function shuffled(): string {
    const [list, ...rest] = innerList(WITHOUT_BODY).split(';');
    return [list, ...rest.reverse()].join(';');
  }
});

describe('an empty query', () => {
  const covered = ['"@method"', ...parts];
  holdRules(get, [
    [
      '"?" with @query, which reads as none',
      { covered, target: '/orders?' },
      'signature-policy',
      'empty query',
    ],
    ['"/?" with @query', { covered, target: '/?' }, 'signature-policy', 'empty query'],
    ['no query with @query', { covered, target: '/orders' }, 'accepted'],
    ['"?" with @target-uri', { target: '/orders?' }, 'accepted'],
    ['"?" with both', { covered: [...covered, '"@target-uri"'], target: '/orders?' }, 'accepted'],
    ['a query that ends in "?"', { covered, target: '/orders?a=?' }, 'accepted'],
    ['a query of one "?"', { covered, target: '/orders??' }, 'accepted'],
  ]);
});

describe('the times of a request whose MAC holds', () => {
  const judged = (created: number, expires: number) => judgeTimes({ created, expires }, LIFE, NOW);

  it.each([
    ['now', NOW, NOW + 60, undefined],
    ['created as far ahead as the clocks may differ', NOW + 30, NOW + 90, undefined],
    ['created a second further ahead', NOW + 31, NOW + 90, 'clock-skew'],
    ['expired as long ago as the clocks may differ', NOW - 90, NOW - 30, undefined],
    ['expired a second longer ago', NOW - 91, NOW - 31, 'signature-expired'],
  ])('%s', (_, created, expires, code) => {
    expect(judged(created, expires)?.code).toBe(code);
  });

  it('tells the time with both refusals', () => {
    expect(judged(NOW + 31, NOW + 90)?.members).toEqual({ 'server-time': NOW });
    expect(judged(0, 60)?.members).toEqual({ 'server-time': NOW });
  });
});
