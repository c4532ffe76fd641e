/** A MAC that doesn't hold, and what proves why. */
import { describe, expect, it } from 'vitest';
import { contentDigest } from '../../src/signatures/index.ts';
import { codes, type Draft, explained, file, SECRET } from './recorded-file.ts';

const SPLIT = ['@method', '@scheme', '@authority', '@path', '@query'];
const line = (id: string, change: (value: string) => string) => (base: string) =>
  base.replace(
    new RegExp(`^("${id}": )(.*)$`, 'm'),
    (_, name: string, value: string) => name + change(value),
  );

describe('a MAC that does not hold is tried against the usual slips of a signer', () => {
  const swap = (from: string, to: string) => (text: string) => {
    expect(text).toContain(from);
    return text.replaceAll(from, to);
  };
  const slips: [what: string, draft: Draft, cause: string, detail: RegExp][] = [
    ['another host', { base: swap('api.example', 'gateway.internal') }, 'host-changed', /gateway\.internal/],
    ['the other scheme', { base: swap('https:', 'http:') }, 'scheme-changed', /http:\/\/api/],
    ['the port of its scheme', { base: swap('api.example', 'api.example:443') }, 'base-malformed', /port/],
    ['a decoded path', { target: '/a%21b', base: swap('%21', '!') }, 'path-escapes-changed', /\/a!b/],
    ['an encoded path', { target: '/a(b)', base: swap('(b)', '%28b%29') }, 'path-escapes-changed', /%28b%29/],
    ['a "~" escaped', { target: '/~a', base: swap('~', '%7E') }, 'path-escapes-changed', /%7E/],
    ['a slash at the end', { base: swap('/orders', '/orders/') }, 'path-changed', /\/orders\//],
    ['no query', { target: '/orders?a=b', base: swap('?a=b', '') }, 'query-missing', /without its query/],
    ['a bare "?"', { base: swap('/orders', '/orders?') }, 'query-missing', /bare/],
    ['a query encoded anew', { target: '/orders?a=b%20c', base: swap('%20', '+') }, 'query-changed', /"\+"/],
    [
      '"@query" without its "?"',
      { target: '/orders?a=b', cover: SPLIT, base: line('@query', (value) => value.slice(1)) },
      'query-missing',
      /without its "\?"/,
    ],
    ['"@query" empty', { cover: SPLIT, base: line('@query', () => '') }, 'query-missing', /without its "\?"/],
    [
      'the method in small letters',
      { base: line('@method', (value) => value.toLowerCase()) },
      'method-changed',
      /get/,
    ],
    [
      'a field untrimmed',
      { headers: [['X-Note', ' tea  ']], base: line('x-note', () => ' tea  ') },
      'header-trimmed',
      /spaces around/,
    ],
    [
      'lines joined by a comma alone',
      {
        headers: [
          ['X-Tag', 'a'],
          ['X-Tag', 'b'],
        ],
        base: line('x-tag', () => 'a,b'),
      },
      'header-joined',
      /without a space/,
    ],
    [
      'the first line alone',
      {
        headers: [
          ['X-Tag', 'a'],
          ['X-Tag', 'b'],
        ],
        base: line('x-tag', () => 'a'),
      },
      'header-joined',
      /first/,
    ],
    [
      'the digest of another form',
      { method: 'POST', body: '{"a": 1}', base: line('content-digest', () => contentDigest('{"a":1}')) },
      'body-changed',
      /without spaces/,
    ],
    ['a line break at the end', { base: (base) => `${base}\n` }, 'base-malformed', /line break after/],
    ['CRLF', { base: swap('\n', '\r\n') }, 'base-malformed', /CRLF/],
    [
      'no quotes around @signature-params',
      { base: swap('"@signature-params"', '@signature-params') },
      'base-malformed',
      /quotes/,
    ],
    [
      'no last line',
      { base: (base) => base.slice(0, base.lastIndexOf('\n')) },
      'base-malformed',
      /last line/,
    ],
    ['the label in its last line', { base: swap('-params": ', '-params": cs=') }, 'base-malformed', /label/],
    [
      'the base64 text as the key',
      { key: Buffer.from(SECRET.toString('base64')) },
      'secret-wrong',
      /decode the secret/,
    ],
    ['a MAC in hex', { mac: (mac) => Buffer.from(mac.toString('hex'), 'base64') }, 'base-malformed', /hex/],
    ['another secret', { key: Buffer.alloc(64, 8) }, 'secret-wrong', /another secret/],
  ];
  it.each(slips)('%s', (_, draft, cause, detail) => {
    const found = explained(file(draft), { authorities: ['gateway.internal'] });
    expect([codes(found), found.macHolds]).toEqual([[cause], false]);
    expect(found.causes[0]?.detail).toMatch(detail);
  });

  it('and one that holds has no cause', () => {
    for (const draft of [{}, { cover: SPLIT }, { method: 'POST', body: 'tea' }]) {
      const found = explained(file(draft));
      expect([found.causes, found.macHolds]).toEqual([[], true]);
    }
  });
});
