/** RFC 9421 section 2: the value that each component has in a message. */
import { describe, expect, it } from 'vitest';
import {
  component,
  componentValue,
  coverComponents,
  Fields,
  type RequestMessage,
  type ResponseMessage,
} from '../../src/signatures/index.ts';
import { refusalOf } from './requests.ts';

const request: RequestMessage = {
  method: 'PATCH',
  scheme: 'http',
  authority: 'api.example:8080',
  target: '/a%2Fb/c;v=1?state=open&name=a+b%20c&sum=1%2B1&empty=&flag&odd=!%27()~*&twice=1&twice=2',
  fields: Fields.fromRaw([
    'Host',
    'api.example:8080',
    'X-Lines',
    '  one ',
    'x-LINES',
    '\ttwo, three\t',
    'X-Lines',
    '',
    'X-Empty',
    '',
    'Priority',
    'u=1,  i,x=( a   "b");q=1.50',
    'Priority',
    ' y=?0;z=?1',
    'Cache-Status',
    'ExampleCache; hit ,  "other";fwd=miss',
    'Idempotency-Key',
    '  "8e03978e";a=?1 ',
    'Constructor',
    'x',
    'Dup',
    'a=1, a=2',
  ]),
};
const response: ResponseMessage = {
  status: 201,
  fields: Fields.fromEntries([['location', '/orders/17']]),
  request,
};
const of = (id: string, message: RequestMessage | ResponseMessage = request) =>
  componentValue(component(id), message);
const withTarget = (target: string) => ({ ...request, target });
const refused = (id: string, message: RequestMessage | ResponseMessage = request) => {
  const { code, message: text } = refusalOf(() => of(id, message));
  return [code, text];
};

describe('derived components', () => {
  it.each([
    ['@method', 'PATCH'],
    ['@scheme', 'http'],
    ['@authority', 'api.example:8080'],
    ['@target-uri', `http://api.example:8080${request.target}`],
    ['@request-target', request.target],
    ['@path', '/a%2Fb/c;v=1'],
    ['@query', request.target.slice('/a%2Fb/c;v=1'.length)],
    ['"@query-param";name="state"', 'open'],
    ['"@query-param";name="name"', 'a%20b%20c'],
    ['"@query-param";name="sum"', '1%2B1'],
    ['"@query-param";name="empty"', ''],
    ['"@query-param";name="flag"', ''],
    ['"@query-param";name="odd"', '%21%27%28%29%7E*'],
  ])('%s is %j', (id, value) => {
    expect(of(id)).toBe(value);
  });

  it.each([
    ['/orders', '?'],
    ['/orders?', '?'],
    ['/orders??', '??'],
    ['/orders?a=?', '?a=?'],
    ['/orders?a%20b', '?a%20b'],
  ])('@query of %s is %s, undecoded', (target, value) => {
    expect(of('@query', withTarget(target))).toBe(value);
  });

  it('@query-param is found by the encoded form of its name', () => {
    const message = withTarget('/x?a+b=1&caf%c3%a9=2');
    expect(of('"@query-param";name="a%20b"', message)).toBe('1');
    expect(of('"@query-param";name="caf%C3%A9"', message)).toBe('2');
    expect(refused('"@query-param";name="a b"', message)[1]).toContain("doesn't carry");
  });

  it('@query-param that stands twice is refused, however it is spelled', () => {
    const code = ['signature-policy', expect.stringContaining('twice')];
    expect(refused('"@query-param";name="twice"')).toEqual(code);
    expect(refused('"@query-param";name="a"', withTarget('/x?a=1&%61=2'))).toEqual(code);
  });

  it('@query-param that is absent is refused', () => {
    for (const target of ['/x', '/x?', '/x?b=1']) {
      expect(refused('"@query-param";name="a"', withTarget(target))).toEqual([
        'signature-policy',
        expect.stringContaining("doesn't carry"),
      ]);
    }
  });
});

describe('header fields', () => {
  it.each([
    ['x-lines', 'one, two, three, '],
    ['x-empty', ''],
    ['"x-lines";bs', `:${btoa('one')}:, :${btoa('two, three')}:, ::`],
    ['"x-empty";bs', '::'],
    ['"priority";sf', 'u=1, i, x=(a "b");q=1.5, y=?0;z'],
    ['"cache-status";sf', 'ExampleCache;hit, "other";fwd=miss'],
    ['"idempotency-key";sf', '"8e03978e";a'],
    ['"priority";key="u"', '1'],
    ['"priority";key="i"', '?1'],
    ['"priority";key="x"', '(a "b");q=1.5'],
    ['"priority";key="y"', '?0;z'],
  ])('%s is %j', (id, value) => {
    expect(of(id)).toBe(value);
  });

  it(';bs takes the bytes of the line, one a character', () => {
    const fields = Fields.fromEntries([['x', '\u00e9']]);
    expect(of('"x";bs', { ...request, fields })).toBe(':6Q==:');
  });

  it.each([
    ['x-absent', 'signature-policy', "doesn't carry"],
    ['"x-absent";bs', 'signature-policy', "doesn't carry"],
    ['"priority";key="absent"', 'signature-policy', "doesn't carry"],
    ['"x-lines";sf', 'signature-policy', 'structured type'],
    ['"constructor";sf', 'signature-policy', 'structured type'],
    ['"host";key="a"', 'signature-malformed', 'parse'],
    ['"dup";key="a"', 'signature-malformed', 'twice'],
  ])('%s is refused', (id, code, says) => {
    expect(refused(id)).toEqual([code, expect.stringContaining(says)]);
  });
});

describe('the components of a response', () => {
  it.each([
    ['@status', '201'],
    ['location', '/orders/17'],
    ['"@method";req', 'PATCH'],
    ['"@path";req', '/a%2Fb/c;v=1'],
    ['"@query-param";name="state";req', 'open'],
    ['"@query-param";req;name="state"', 'open'],
    ['"host";req', 'api.example:8080'],
    ['"x-lines";bs;req', `:${btoa('one')}:, :${btoa('two, three')}:, ::`],
    ['"priority";req;key="u"', '1'],
  ])('%s is %j', (id, value) => {
    expect(of(id, response)).toBe(value);
  });

  it.each([
    ['@method', 'not one of a response'],
    ['@path', 'not one of a response'],
    ['host', "doesn't carry"],
    ['"location";req', "doesn't carry"],
    ['"@status";req', 'not one of a request'],
  ])('%s is refused', (id, says) => {
    expect(refused(id, response)).toEqual(['signature-policy', expect.stringContaining(says)]);
  });
});

describe('what a signature base can hold', () => {
  it.each([
    ['a line break, which could pose as a line of the base', 'a\n"@method": GET'],
    ['a carriage return', 'a\rb'],
    ['a zero byte', 'a\u0000b'],
    ['a byte beyond ASCII', 'caf\u00e9'],
  ])('refuses a field with %s', (_, value) => {
    const message = { ...request, fields: Fields.fromEntries([['x', value]]) };
    expect(refusalOf(() => coverComponents([component('x')], message)).code).toBe('signature-policy');
    expect(coverComponents([component('"x";bs')], message).values).toHaveLength(1);
  });

  it('takes a tab within a value', () => {
    const message = { ...request, fields: Fields.fromEntries([['x', 'a\tb']]) };
    expect(coverComponents([component('x')], message).values).toEqual(['a\tb']);
  });

  it('trims a long run of spaces in linear time', () => {
    const spaces = ' '.repeat(1_000_000);
    const fields = Fields.fromEntries([['x', ` a${spaces}b `]]);
    expect(fields.get('x')).toBe(`a${spaces}b`);
  });
});
