/** Request targets that two readers could understand differently are refused before anything else reads them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkTarget, pathOf } from '../../src/signatures/index.ts';
import { refusalOf } from './requests.ts';

describe('refused as target-ambiguous', () => {
  const rules: Readonly<Record<string, readonly string[]>> = {
    'an empty segment': ['/a//b', '/a//', '//', '/a///b', '/a//?q=1', '/a/;x/b', '/;x', '/a/;', '/a/%3bx/b'],
    'a segment "."': ['/.', '/./', '/a/.', '/a/./b', '/./a', '/a/.?q', '/.;x', '/a/.;x/b', '/a/.;'],
    'a segment ".."': [
      '/..',
      '/../',
      '/a/..',
      '/a/../b',
      '/../a',
      '/a/..?q',
      '/..;x',
      '/a/..;x=1/b',
      '/a/..;',
    ],
    'dots that are encoded': [
      '/%2e',
      '/%2E%2e',
      '/a/%2e%2e/b',
      '/.%2e/b',
      '/%2e./b',
      '/a/%2e%2e;x/b',
      '/a%2eb',
    ],
    'dots before an encoded ";"': ['/a/..%3bx/b', '/a/..%3B', '/a/.%3b/b', '/..%3b;x'],
    'dots beside an encoded slash': [
      '/a/..%2fb',
      '/a%2f..',
      '/a%2f../b',
      '/a%2F.%2Fb',
      '/a%2f..;x',
      '/..%2f',
    ],
    'an empty segment beside an encoded slash': ['/a%2f%2fb', '/a/%2fb', '/a%2f/b', '/%2f', '/%2Fa'],
    '"%" without two hex digits': [
      '/%',
      '/a%',
      '/a%2',
      '/a%zz',
      '/a%2g',
      '/a%%41',
      '/a%u002e',
      '/%2/a',
      '/a%-1',
    ],
    'an encoded backslash': ['/a%5cb', '/a%5C..%5Cb', '/%5c'],
    'an encoded zero byte': ['/a%00', '/%00', '/a%00.json'],
    'an encoded "%"': ['/a%25', '/%252e%252e/b', '/a%252fb'],
    'an encoded unreserved character': [
      '/%61',
      '/a%7Eb',
      '/%7e',
      '/%2D',
      '/%5f',
      '/%41',
      '/%30',
      '/orders%2Ejson',
    ],
    'a backslash': ['/a\\b', '/\\evil', '\\\\evil', '/a\\..\\b', '/..\\a', '/a?q=\\'],
    'a byte outside 0x21-0x7E': [
      '/a b',
      '/a\tb',
      '/a\nb',
      '/a\r\nb',
      '/a\u0000',
      '/a\u007f',
      '/\u00e9',
      '/a?q= ',
      ' /a',
      '/a\n',
    ],
    'a byte beyond Latin-1': ['/\u2024\u2024/a', '/\uff0e\uff0e/a', '/a\u2215b'],
    'a fragment': ['/a#', '/a#b', '/a?q#b', '/#', '/a#/../b'],
    'absolute form': ['http://api.example/a', 'https://api.example', 'HTTP://api.example/', 'file:///a'],
    'an authority': ['//evil/x', '//', '//evil', '///evil', 'api.example:443', 'api.example'],
    'anything else that is no path': ['', '*', '?', '?q', 'a', './a', '../a', ';a', '%2fa'],
    'characters that a URL parser encodes in silence': [
      '/a"b',
      '/a<b',
      '/a>b',
      '/a`b',
      '/a{b',
      '/a}b',
      '/a^b',
    ],
    'a target of more than 8 KiB': [`/${'a'.repeat(8192)}`, `/?${'a'.repeat(8191)}`],
  };
  for (const [rule, targets] of Object.entries(rules)) {
    it.each(targets)(`${rule}: %j`, (target) => {
      expect(refusalOf(() => checkTarget(target)).code).toBe('target-ambiguous');
    });
  }
});

describe('accepted', () => {
  it.each([
    '/',
    '/orders',
    '/orders/',
    '/orders/17',
    '/orders?',
    '/orders?state=open&x=%zz%00%2e../..//"<>{}',
    '/?',
    '/.well-known/x',
    '/a/...',
    '/a/..b/.c/d../e.f',
    '/a;v=1/b;w',
    "/-._~!$&'()*+,;=:@",
    '/a|b[c]',
    '/a%20b',
    '/caf%C3%A9',
    '/a%3bb',
    '/a%3F%23%5B',
    '/a%0a',
    `/${'a'.repeat(8191)}`,
  ])('%s', (target) => {
    expect(checkTarget(target)).toEqual({ encodedSlash: false });
  });

  it.each(['/a%2fb', '/a%2Fb/c', '/a%2f'])('%s, and says that it holds an encoded slash', (target) => {
    expect(checkTarget(target)).toEqual({ encodedSlash: true });
  });

  it('an encoded slash in the query is of no account', () => {
    expect(checkTarget('/a?b=%2f')).toEqual({ encodedSlash: false });
  });
});

describe('whatever is accepted', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      '/',
      '/',
      '/',
      '.',
      '..',
      ';',
      '%2e',
      '%2f',
      '%2F',
      '%3b',
      '%5c',
      '%25',
      '%00',
      '%',
      '\\',
      '?',
    ),
    fc.constantFrom(
      'a',
      'b',
      'orders',
      '%20',
      '%C3%A9',
      '#',
      '"',
      '{',
      '|',
      '~',
      ':',
      '@',
      '*',
      '\t',
      ' ',
      '\u00e9',
    ),
    fc.string({ maxLength: 2 }),
  );
  const target = fc.array(piece, { maxLength: 8 }).map((pieces) => `/${pieces.join('')}`);
  const accepted = (text: string) => {
    try {
      return checkTarget(text);
    } catch {
      return undefined;
    }
  };
  /** Accepted ones are rare among the random, so that a quarter is drawn from the tame. */
  const targets = fc.oneof(
    { weight: 3, arbitrary: target },
    { weight: 1, arbitrary: fc.webPath().map((path) => `/${path}`.replace(/^\/+/, '/')) },
  );

  it('keeps its path when a URL parser has read it', () => {
    let seen = 0;
    fc.assert(
      fc.property(targets, (text) => {
        if (accepted(text)?.encodedSlash !== false) return;
        seen++;
        expect(new URL(`http://h${text}`).pathname).toBe(pathOf(text));
        expect(new URL(`http://h${text}`).host).toBe('h');
      }),
      { numRuns: 5000 },
    );
    expect(seen).toBeGreaterThan(100);
  });

  it('has no segment that means another once it is decoded, with or without its parameters', () => {
    fc.assert(
      fc.property(targets, (text) => {
        if (!accepted(text)) return;
        const segments = pathOf(text)
          .split(/\/|%2f/i)
          .slice(1)
          .map((segment) =>
            segment.replace(/%(..)/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
          );
        const named = segments.map((segment) => segment.replace(/;.*$/s, ''));
        expect(segments.slice(0, -1)).not.toContain('');
        for (const names of [segments, named]) {
          expect(names).not.toContain('.');
          expect(names).not.toContain('..');
        }
      }),
      { numRuns: 5000 },
    );
  });

  it('is ASCII without spaces, backslashes and fragments', () => {
    fc.assert(
      fc.property(targets, (text) => {
        if (accepted(text)) expect(text).toMatch(/^\/[!-"$-[\]-~]*$/);
      }),
      { numRuns: 2000 },
    );
  });
});
