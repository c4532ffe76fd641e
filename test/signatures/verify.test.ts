/** What is signed verifies, and nothing else does. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hmacSha256 } from '../../src/signatures/hmac.ts';
import {
  type CountersignError,
  secretKey,
  signatureBase,
  verifyRequest,
} from '../../src/signatures/index.ts';
import { coverComponents } from '../../src/signatures/signature-base.ts';
import { type Changes, get, post, present, refusalOf, SECRET, WITHOUT_BODY } from './requests.ts';
import { read, sign, type Unsigned, unsigned, type Wire } from './signed-requests.ts';

const verify = (wire: Wire) => verifyRequest(present(read(wire)), SECRET);
/** Refusals before and at the MAC: nothing of these requests is believed. */
const BEFORE_OR_AT_THE_MAC = ['signature-malformed', 'signature-policy', 'signature-invalid'];

const flipped = (text: string, at: number, bit: number) =>
  text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ (1 << bit)) + text.slice(at + 1);

/** Every part of a signed request that the signature vouches for, or that makes up the signature. */
function* sites(wire: Wire, covered: readonly string[]): Generator<[what: string, text: string, put: Put]> {
  for (const part of ['method', 'authority', 'target'] as const) {
    yield [part, wire[part], (text) => ({ ...wire, [part]: text })];
  }
  for (const [i, [name, value]] of wire.raw.entries()) {
    const lower = name.toLowerCase();
    const counts = [lower, `"${lower}";bs`].some((id) => covered.includes(id));
    if (!counts && !lower.startsWith('signature')) continue;
    yield [name, value, (text) => ({ ...wire, raw: wire.raw.with(i, [name, text]) })];
  }
}
type Put = (text: string) => Wire;

const rich: Unsigned = {
  wire: {
    method: 'POST',
    scheme: 'https',
    authority: 'api.example',
    target: '/orders/17;v=1?state=open',
    raw: [
      ['Host', 'api.example'],
      ['Content-Length', '12'],
      ['Content-Type', 'application/json'],
      ['Content-Digest', 'sha-256=:RZT76dsd2EKl1ccU/7uFYfq2c0Xh2hOFQDNMXoHTTWo=:'],
      ['Idempotency-Key', '"8e03978e-40d5"'],
      ['Authorization', 'Bearer abc'],
      ['X-Lines', 'one'],
      ['X-Lines', 'two, three'],
      ['Accept', '*/*'],
    ],
  },
  covered: [
    '@method',
    '@target-uri',
    '"@query-param";name="state"',
    'content-type',
    'content-digest',
    'idempotency-key',
    'authorization',
    'x-lines',
    '"accept";bs',
  ],
  signing: {
    keyid: 'orders-1',
    nonce: '0123456789abcdefghijkl',
    created: 1_790_000_000,
    expires: 1_790_000_060,
  },
};

describe('a signed request', () => {
  it('verifies, whatever it covers and in whatever order', () => {
    fc.assert(
      fc.property(unsigned, (each) => {
        const { parameters, covered } = verify(sign(each));
        expect(parameters).toEqual({ ...each.signing, tag: 'countersign-request-v1' });
        expect(covered.components).toHaveLength(each.covered.length);
      }),
      { numRuns: 1000 },
    );
  });

  it('hands on what was covered, its digest and its key', () => {
    const verified = verify(sign(rich));
    expect(verified.covered.values).toEqual([
      'POST',
      'https://api.example/orders/17;v=1?state=open',
      'open',
      'application/json',
      'sha-256=:RZT76dsd2EKl1ccU/7uFYfq2c0Xh2hOFQDNMXoHTTWo=:',
      '"8e03978e-40d5"',
      'Bearer abc',
      'one, two, three',
      ':Ki8q:',
    ]);
    expect([...verified.digests.keys()]).toEqual(['sha-256']);
    expect(verified.secret).toBe(SECRET);
  });

  it('does not verify with any one bit of it flipped', () => {
    const wire = sign(rich);
    let tried = 0;
    for (const [what, text, put] of sites(wire, rich.covered)) {
      for (let at = 0; at < text.length; at++) {
        for (let bit = 0; bit < 8; bit++) {
          const { code } = refusalOf(() => verify(put(flipped(text, at, bit))));
          if (!BEFORE_OR_AT_THE_MAC.includes(code)) expect.fail(`${what}, bit ${bit} at ${at}: ${code}`);
          tried++;
        }
      }
    }
    expect(tried).toBeGreaterThan(3500);
  });

  it('does not verify with a bit flipped, whatever it covers', () => {
    fc.assert(
      fc.property(unsigned, fc.nat(), fc.nat(), fc.nat({ max: 7 }), (each, which, where, bit) => {
        const all = [...sites(sign(each), each.covered)].filter(([, text]) => text !== '');
        const [, text, put] = all[which % all.length] as (typeof all)[number];
        const wire = put(flipped(text, where % text.length, bit));
        expect(BEFORE_OR_AT_THE_MAC).toContain(refusalOf(() => verify(wire)).code);
      }),
      { numRuns: 2000 },
    );
  });

  const moved = (change: (raw: Wire['raw']) => Wire['raw']): Wire => {
    const wire = sign(rich);
    return { ...wire, raw: change(wire.raw) };
  };
  const named = (name: string) => (field: readonly [string, string]) => field[0] === name;
  it.each([
    ['over the other scheme', { ...sign(rich), scheme: 'http' as const }, 'signature-invalid'],
    [
      'without one line of a covered field',
      moved((raw) => raw.toSpliced(raw.findIndex(named('X-Lines')), 1)),
      'signature-invalid',
    ],
    ['with a line more', moved((raw) => [...raw, ['x-lines', '']]), 'signature-invalid'],
    [
      'with its lines in another order',
      moved((raw) => [
        ...raw.filter(([name]) => name !== 'X-Lines'),
        ['X-Lines', 'two, three'],
        ['X-Lines', 'one'],
      ]),
      'signature-invalid',
    ],
    [
      'without a covered field',
      moved((raw) => raw.filter(([name]) => name !== 'Accept')),
      'signature-policy',
    ],
    [
      'with the lines of a field joined, which was covered as bytes',
      moved((raw) => [...raw, ['Accept', 'text/html']]),
      'signature-invalid',
    ],
  ])('does not verify %s', (_, wire, code) => {
    expect(refusalOf(() => verify(wire)).code).toBe(code);
  });

  it('verifies with its lines joined on the way, and with its names in another case', () => {
    const wire = moved((raw) => [
      ...raw
        .filter(([name]) => name !== 'X-Lines')
        .map(([name, value]) => [name.toUpperCase(), value] as const),
      ['x-lines', '  one, two, three '],
    ]);
    expect(() => verify(wire)).not.toThrow();
  });

  it('does not verify with a MAC of another length', () => {
    for (const length of [0, 31, 33, 64]) {
      const signature = `cs=:${Buffer.alloc(length).toString('base64')}:`;
      expect(refusalOf(() => verifyRequest(present(get({ signature })), SECRET)).code).toBe(
        'signature-invalid',
      );
    }
  });
});

describe('the one answer of signature-invalid', () => {
  /** A request and its right MAC under SECRET, whatever its parameters claim. */
  const withMac = (changes: Changes, key = SECRET) => {
    const { presented, message } = present(post(changes));
    const base = signatureBase(coverComponents(presented.components, message), presented.signatureParams);
    return post({ ...changes, signature: `cs=:${hmacSha256(key, base).toString('base64')}:` });
  };
  const told = ({ code, message, members, headers, cause }: CountersignError) => ({
    code,
    message,
    members,
    headers,
    cause,
  });
  const stranger = secretKey(Buffer.alloc(64, 8));
  const answers = (changes: Changes) => {
    const good = present(withMac(changes));
    const bad = present(withMac(changes, stranger));
    return [
      told(refusalOf(() => verifyRequest(bad, SECRET))),
      told(refusalOf(() => verifyRequest(good, undefined))),
      told(refusalOf(() => verifyRequest(bad, undefined))),
      told(refusalOf(() => verifyRequest(good, stranger))),
    ];
  };

  it.each([
    ['plain', {}],
    ['with a cookie', { fields: { cookie: 'session=1' } }],
    ['with a query and more fields', { target: '/x?y', fields: { date: 'today' }, alsoCovered: ['"date"'] }],
  ])('is the same for an unknown key and a bad MAC: %s', (_, changes: Changes) => {
    const [first, ...rest] = answers(changes);
    expect(first?.code).toBe('signature-invalid');
    for (const each of rest) expect(each).toEqual(first);
  });

  it('is the same for a wrong alg, even where the MAC is right', () => {
    const changes = { parameters: { alg: '"hmac-sha512"' } };
    const wrongAlgorithm = told(refusalOf(() => verifyRequest(present(withMac(changes)), SECRET)));
    for (const each of answers(changes)) expect(each).toEqual(wrongAlgorithm);
    expect(() =>
      verifyRequest(present(withMac({ parameters: { alg: '"hmac-sha256"' } })), SECRET),
    ).not.toThrow();
  });
});

describe('the signature base in a refusal', () => {
  const shown = (changes: Changes, request = get) =>
    refusalOf(() => verifyRequest(present(request(changes)), SECRET)).members;

  it('shows what the sender knows of, and of every other field the length alone', () => {
    const fields = {
      date: 'Sun, 22 Nov 2026 15:00:00 GMT',
      'content-encoding': 'gzip',
      'idempotency-key': '"k-1"',
      authorization: 'Bearer secret',
      'x-lines': ['one', 'two'],
      accept: '',
      priority: 'u=1',
    };
    const names = ['host', 'content-length', ...Object.keys(fields)].map((name) => `"${name}"`);
    const alsoCovered = [...names, '"date";bs', '"authorization";bs', '"priority";key="u"'];
    const base = shown({ fields, alsoCovered }, post).signatureBase;
    expect(String(base).split('\n')).toEqual([
      '"@method": POST',
      '"@target-uri": https://api.example/orders?state=open',
      expect.stringMatching(/^"content-digest": sha-256=:.{44}:$/),
      '"content-type": application/json',
      '"host": api.example',
      '"content-length": 12',
      '"date": Sun, 22 Nov 2026 15:00:00 GMT',
      '"content-encoding": gzip',
      '"idempotency-key": "k-1"',
      '"authorization": <13 bytes>',
      '"x-lines": <8 bytes>',
      '"accept": <0 bytes>',
      '"priority": <3 bytes>',
      expect.stringMatching(/^"date";bs: :/),
      '"authorization";bs: <22 bytes>',
      '"priority";key="u": <1 bytes>',
      `"@signature-params": (${[...WITHOUT_BODY, '"content-digest" "content-type"', ...alsoCovered].join(' ')})` +
        ';created=1790000000;expires=1790000060;nonce="0123456789abcdefghijkl";keyid="orders-1"' +
        ';tag="countersign-request-v1"',
    ]);
  });

  it('is the whole of what the refusal adds, and no MAC is in it', () => {
    const refusal = refusalOf(() => verifyRequest(present(post()), SECRET));
    expect(Object.keys(refusal.members)).toEqual(['signatureBase']);
    expect(refusal.headers).toEqual({});
    const { presented, message } = present(post());
    const base = signatureBase(coverComponents(presented.components, message), presented.signatureParams);
    const mac = hmacSha256(SECRET, base);
    for (const encoding of ['base64', 'base64url', 'hex'] as const) {
      expect(JSON.stringify({ ...refusal.members, text: refusal.message })).not.toContain(
        mac.toString(encoding),
      );
    }
  });

  it('has at most 8 KiB', () => {
    const { signatureBase } = shown({ fields: { date: 'x'.repeat(9000) }, alsoCovered: ['"date"'] });
    expect(Buffer.byteLength(String(signatureBase))).toBe(8192);
  });

  it.each([['session=1'], ['']])('is absent where a Cookie is present: %j', (cookie) => {
    expect(shown({ fields: { cookie } })).toEqual({});
    expect(shown({ fields: { cookie }, alsoCovered: ['"cookie"'] })).toEqual({});
  });
});
