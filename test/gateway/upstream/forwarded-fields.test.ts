import { describe, expect, it } from 'vitest';
import {
  checkRequestFields,
  fieldsForCaller,
  fieldsForUpstream,
} from '../../../src/gateway/upstream/forwarded-fields.ts';
import { Fields } from '../../../src/signatures/fields.ts';
import { component } from '../../../src/signatures/sign.ts';

const IDENTITY = { consumer: 'shop', keyid: 'k1', roles: ['orders', 'demo'], requestId: 'r1' };

describe('what an upstream gets', () => {
  function forwarded(lines: [string, string][], covered: string[], traceparent?: string) {
    const components = covered.map(component);
    const raw = fieldsForUpstream(
      Fields.fromEntries(lines),
      { components, values: components.map(() => '') },
      { ...IDENTITY, traceparent },
      'orders.internal:9000',
    );
    return Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i], raw[2 * i + 1]]);
  }
  const OWN = [
    ['countersign-consumer', 'shop'],
    ['countersign-keyid', 'k1'],
    ['countersign-roles', 'orders, demo'],
    ['countersign-request-id', 'r1'],
  ];
  const HOST = ['host', 'orders.internal:9000'];

  it('is what the signature covers, some harmless fields, and who calls, set last', () => {
    expect(
      forwarded(
        [
          ['Host', 'api.example.com'],
          ['Content-Type', 'text/plain'],
          ['X-Covered', 'yes'],
          ['X-Uncovered', 'no'],
          ['Accept', '*/*'],
          ['Accept-Language', 'en'],
          ['User-Agent', 'test'],
          ['Cookie', 'a=b'],
        ],
        ['@method', '@target-uri', 'host', 'x-covered', 'content-type'],
        '00-1-2-01',
      ),
    ).toEqual([
      HOST,
      ['x-covered', 'yes'],
      ['content-type', 'text/plain'],
      ['accept', '*/*'],
      ['accept-language', 'en'],
      ['user-agent', 'test'],
      ...OWN,
      ['traceparent', '00-1-2-01'],
    ]);
  });

  it('has each field once, joined as it was signed', () => {
    expect(
      forwarded(
        [
          ['X-List', 'a'],
          ['x-list', ' b '],
          ['Accept', 'a'],
          ['Accept', 'b'],
        ],
        ['x-list', '"x-list";bs', 'accept'],
      ),
    ).toEqual([HOST, ['x-list', 'a, b'], ['accept', 'a, b'], ...OWN]);
  });

  it.each([
    'Client-Cert',
    'Client-Cert-Chain',
    'X-Client-Cert',
    'X-Client-Certificate',
    'X-Client-DN',
    'X-Client-Verify',
    'X-SSL-Client-S-DN',
    'X-SSL-Cert',
    'X_SSL_Client_Verify',
    'SSL-Client-Verify',
    'SSL_CLIENT_CERT',
    'X-TLS-Client-Cert',
    'X-Forwarded-Client-Cert',
    'X-Forwarded-Tls-Client-Cert-Info',
    'X-Amzn-Mtls-Clientcert',
    'X-ARR-ClientCert',
    'CF-Client-Cert-Der-Base64',
  ])('never has what a proxy may say of a client certificate: %s', (name) => {
    expect(forwarded([[name, 'spiffe://example.com/bank']], ['@method', name.toLowerCase()])).toEqual([
      HOST,
      ...OWN,
    ]);
  });

  it.each(['Client-Id', 'X-Client-Version', 'Client-Certainty', 'X-Sslot', 'Tlsa'])(
    'has what only begins alike: %s',
    (name) => {
      const fields = [[name.toLowerCase(), '1']];
      expect(forwarded([[name, '1']], ['@method', name.toLowerCase()])).toEqual([HOST, ...fields, ...OWN]);
    },
  );

  it('leaves out a field of which a member, or another form, is covered', () => {
    expect(
      forwarded(
        [
          ['X-Dict', 'a=1, b=2'],
          ['Priority', 'u=1'],
        ],
        ['"x-dict";key="a"', '"priority";sf'],
      ),
    ).toEqual([HOST, ...OWN]);
    expect(forwarded([['X-Bytes', 'a']], ['"x-bytes";bs'])).toEqual([HOST, ['x-bytes', 'a'], ...OWN]);
  });

  it.each([
    'Connection',
    'Keep-Alive',
    'Proxy-Connection',
    'Proxy-Authorization',
    'TE',
    'Trailer',
    'Transfer-Encoding',
    'Upgrade',
    'HTTP2-Settings',
    'Content-Length',
    'Expect',
    'Signature',
    'Signature-Input',
    'Forwarded',
    'X-Forwarded-For',
    'X-Forwarded-Anything',
    'X_Forwarded_For',
    'X-Real-IP',
    'X-Original-URL',
    'X-Rewrite-URL',
    'Traceparent',
    'Countersign-Narrow',
    'Countersign-Roles',
    'Countersign_Roles',
    'Transfer_Encoding',
  ])("never has the caller's %s, covered or not", (name) => {
    expect(forwarded([[name, 'x']], [name.toLowerCase()])).toEqual([HOST, ...OWN]);
  });

  it('never has what Connection makes hop-by-hop', () => {
    const lines: [string, string][] = [
      ['Connection', 'close, X-Hop'],
      ['X-Hop', 'a'],
      ['X_Hop', 'b'],
      ['X-Kept', 'c'],
    ];
    expect(forwarded(lines, ['x-hop', 'x_hop', 'x-kept'])).toEqual([HOST, ['x-kept', 'c'], ...OWN]);
  });

  it('has authorization, digest and idempotency key where they are covered', () => {
    const names = ['authorization', 'content-digest', 'idempotency-key', 'content-encoding'];
    expect(
      forwarded(
        names.map((name) => [name, 'x']),
        names,
      ),
    ).toEqual([HOST, ...names.map((name) => [name, 'x']), ...OWN]);
  });
});

describe('a request', () => {
  const check = (...lines: [string, string][]) => checkRequestFields(Fields.fromEntries(lines));
  const malformed = expect.objectContaining({ code: 'request-malformed' });

  it.each([
    'Host',
    'Content-Type',
    'Content-Length',
    'Authorization',
    'Idempotency-Key',
    'Date',
    'User-Agent',
    'Referer',
    'From',
    'Max-Forwards',
    'If-Modified-Since',
    'If-Unmodified-Since',
    'Range',
    'If-Range',
    'Cookie',
    'Origin',
    'Traceparent',
  ])('with two lines of %s is refused', (name) => {
    expect(() => check([name, 'a'])).not.toThrow();
    expect(() => check([name, 'a'], ['accept', 'x'], [name.toLowerCase(), 'a'])).toThrow(malformed);
  });

  it.each([
    'Accept',
    'X-Any',
    'Content-Digest',
    'Signature',
    'Signature-Input',
    'If-Match',
    'Content-Encoding',
  ])('may have two lines of %s, a list', (name) =>
    expect(() => check([name, 'a'], [name, 'b'])).not.toThrow(),
  );

  it.each([
    'Content_Type',
    'content_length',
    'Transfer_Encoding',
    'content-digest_',
    'X_Original-URL',
    'Idempotency_Key',
  ])('with %s is refused if many servers read it as another field', (name) => {
    const attempt = () => check([name, 'a']);
    if (name === 'content-digest_') expect(attempt).not.toThrow();
    else expect(attempt).toThrow(malformed);
  });

  it.each(['close', 'keep-alive', 'TE', 'Keep-Alive, te', 'close,', ' close ,TE', ''])(
    'may say Connection: %s',
    (value) => expect(() => check(['Connection', value])).not.toThrow(),
  );

  it.each(['upgrade', 'close, content-type', 'authorization', 'keep-alive;x', '"close"'])(
    "can't say Connection: %s",
    (value) => expect(() => check(['Connection', value])).toThrow(malformed),
  );

  it('has all lines of Connection read', () => {
    expect(() => check(['Connection', 'close'], ['Connection', 'x-secret'])).toThrow(malformed);
  });
});

describe('what a caller gets back', () => {
  const route = { idempotency: 'none', setCookie: [] as string[], contentSecurityPolicy: undefined } as const;
  const OWN = [
    ['content-security-policy', "sandbox; default-src 'none'"],
    ['x-content-type-options', 'nosniff'],
  ];
  const invalid = expect.objectContaining({ code: 'upstream-invalid' });

  it("is the upstream's fields, made harmless to the gateway's origin", () => {
    expect(
      fieldsForCaller(route, [
        ['content-type', 'text/html'],
        ['location', 'http://127.0.0.1:9000/x'],
        ['etag', '"a"'],
        ['x-any', ' spaced\t'],
      ]),
    ).toEqual([
      ['content-type', 'text/html'],
      ['location', 'http://127.0.0.1:9000/x'],
      ['etag', '"a"'],
      ['x-any', 'spaced'],
      ...OWN,
    ]);
  });

  it.each([
    'connection',
    'keep-alive',
    'proxy-authenticate',
    'proxy-connection',
    'te',
    'trailer',
    'transfer-encoding',
    'upgrade',
    'set-cookie',
    'set-cookie2',
    'set_cookie',
    'clear-site-data',
    'service-worker-allowed',
    'alt-svc',
    'strict-transport-security',
    'nel',
    'report-to',
    'content-digest',
    'signature',
    'signature-input',
    'countersign-refusal',
    'countersign_refusal',
    'idempotent-replayed',
    'idempotent_replayed',
    'date',
    'cache-control',
    'content-length',
    'x-content-type-options',
    'x_content_type_options',
  ])("never is the upstream's %s", (name) => {
    expect(fieldsForCaller(route, [[name, 'a=b']])).toEqual(OWN);
  });

  it('never is what Connection makes hop-by-hop', () => {
    expect(
      fieldsForCaller(route, [
        ['connection', 'close, X-Hop'],
        ['connection', 'x-other'],
        ['x-hop', 'a'],
        ['x-other', 'b'],
        ['x-kept', 'c'],
      ]),
    ).toEqual([['x-kept', 'c'], ...OWN]);
  });

  it('has the cookies that the route names, each on its line', () => {
    const cookies = [
      ['set-cookie', 'theme=dark; Path=/'],
      ['set-cookie', 'session=x'],
      ['set-cookie', 'Theme=x'],
      ['set-cookie', ' lang = en'],
      ['set-cookie', 'theme'],
      ['set-cookie', '; theme=x'],
      ['set-cookie', 'theme=\xe9'],
    ] as const;
    expect(fieldsForCaller({ ...route, setCookie: ['theme', 'lang'] }, cookies)).toEqual([
      ...OWN,
      ['set-cookie', 'theme=dark; Path=/'],
      ['set-cookie', 'lang = en'],
    ]);
  });

  it('has Idempotent-Replayed where that is the promise of the upstream', () => {
    expect(fieldsForCaller({ ...route, idempotency: 'upstream' }, [['idempotent-replayed', 'true']])).toEqual(
      [['idempotent-replayed', 'true'], ...OWN],
    );
  });

  it("has the route's own policy in place of the sandbox, and the upstream's beside either", () => {
    const policy = (contentSecurityPolicy: string | undefined, upstream: string) =>
      fieldsForCaller({ ...route, contentSecurityPolicy }, [['content-security-policy', upstream]])[0]?.[1];
    expect(policy("default-src 'self'", '')).toBe("default-src 'self'");
    expect(policy("default-src 'self'", 'img-src x')).toBe("img-src x, default-src 'self'");
    expect(policy(undefined, 'img-src x')).toBe("img-src x, sandbox; default-src 'none'");
    expect(policy(undefined, '\xe9')).toBe("sandbox; default-src 'none'");
  });

  it('has the lines of a list joined', () => {
    expect(
      fieldsForCaller(route, [
        ['vary', 'a'],
        ['content-encoding', 'gzip'],
        ['vary', 'b'],
        ['content-encoding', 'br'],
        ['ratelimit', '"a";r=1'],
        ['ratelimit', '"b";r=2'],
      ]),
    ).toEqual([
      ['vary', 'a, b'],
      ['content-encoding', 'gzip, br'],
      ['ratelimit', '"a";r=1, "b";r=2'],
      ...OWN,
    ]);
  });

  it.each(['content-type', 'location', 'etag', 'retry-after'])('is refused with two lines of %s', (name) => {
    expect(() =>
      fieldsForCaller(route, [
        [name, 'a'],
        [name, 'a'],
      ]),
    ).toThrow(invalid);
  });

  it.each(['content-type', 'content-encoding', 'location', 'etag', 'retry-after', 'ratelimit-policy'])(
    "is refused where %s can't be signed",
    (name) => {
      for (const value of ['caf\xe9', 'a\x00b', 'a\x7f', 'a\nb']) {
        expect(() => fieldsForCaller(route, [[name, value]])).toThrow(invalid);
      }
    },
  );

  it('leaves out any other field whose value is not printable', () => {
    expect(
      fieldsForCaller(route, [
        ['content-disposition', 'attachment; filename="caf\xe9"'],
        ['x-a', 'a\x01'],
        ['signature', '\xe9'],
        ['x-tab', 'a\tb'],
      ]),
    ).toEqual([['x-tab', 'a\tb'], ...OWN]);
  });
});
