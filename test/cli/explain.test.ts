/**
 * `countersign explain`, typed against a real gateway behind a proxy that makes each mistake: it names the cause.
 */
import { describe, expect, it } from 'vitest';
import { contentDigest } from '../../src/signatures/index.ts';
import { bytesOf, type Draft } from '../gateway/wire.ts';
import { changesHost, codes, GET, INTERNAL, NOTE, setDesk } from './explain-desk.ts';
import { type Mistake, withField } from './test-proxy.ts';

const desk = setDesk();

const serialisedAnew: Mistake = ({ body, lines }) => {
  const changed = Buffer.from(JSON.stringify(JSON.parse(body.toString()), null, 2));
  return { body: changed, lines: withField(lines, 'content-length', () => String(changed.length)) };
};

interface Case {
  readonly mistake: Mistake;
  readonly draft?: Draft;
  readonly cause: string;
  /** The gateway's own refusal. */
  readonly refusal: string;
  readonly differs?: string;
}

const TAGS = {
  ...GET,
  headers: [
    ['X-Tag', 'a'],
    ['X-Tag', 'b'],
  ],
  cover: ['@method', '@target-uri', 'x-tag'],
} as const;

const mistakes: Record<string, Case> = {
  'changes Host to another public origin': {
    mistake: changesHost,
    cause: 'host-changed',
    refusal: 'signature-invalid',
    differs: '"@target-uri"',
  },
  'changes Host to one that nobody knows': {
    mistake: ({ lines }) => ({ lines: withField(lines, 'host', () => '10.0.0.7:8080') }),
    cause: 'host-changed',
    refusal: 'origin-unknown',
  },
  'decodes an escape of the path': {
    draft: { ...GET, target: '/v1/a%28b' },
    mistake: ({ target }) => ({ target: target.replace('%28', '(') }),
    cause: 'path-escapes-changed',
    refusal: 'signature-invalid',
    differs: '"@target-uri"',
  },
  'escapes what needs no escape': {
    draft: { ...GET, target: '/v1/~a-b' },
    mistake: ({ target }) => ({ target: target.replace('~', '%7E').replace('-', '%2D') }),
    cause: 'path-escapes-changed',
    refusal: 'target-ambiguous',
  },
  'serialises the body anew': {
    mistake: serialisedAnew,
    cause: 'body-changed',
    refusal: 'digest-mismatch',
  },
  'serialises the body anew, and computes its digest': {
    mistake: (passing) => {
      const { body = passing.body, lines = passing.lines } = serialisedAnew(passing);
      return { body, lines: withField(lines, 'content-digest', () => contentDigest(body)) };
    },
    cause: 'body-changed',
    refusal: 'signature-invalid',
    differs: '"content-digest"',
  },
  'drops the query': {
    draft: { ...GET, target: '/v1/whoami?since=1' },
    mistake: () => ({ target: '/v1/whoami' }),
    cause: 'query-missing',
    refusal: 'signature-invalid',
    differs: '"@target-uri"',
  },
  'drops a bare "?"': {
    draft: { ...GET, target: '/v1/whoami?' },
    mistake: () => ({ target: '/v1/whoami' }),
    cause: 'query-missing',
    refusal: 'signature-invalid',
    differs: '"@target-uri"',
  },
  'drops the query that is signed by itself': {
    draft: { ...GET, target: '/v1/whoami?a', cover: ['@method', '@scheme', '@authority', '@path', '@query'] },
    mistake: () => ({ target: '/v1/whoami' }),
    cause: 'query-missing',
    refusal: 'signature-invalid',
    differs: '"@query"',
  },
  'trims the spaces within a header': {
    draft: NOTE,
    mistake: ({ lines }) => ({ lines: withField(lines, 'x-note', (value) => value.replace(/ +/g, ' ')) }),
    cause: 'header-trimmed',
    refusal: 'signature-invalid',
    differs: '"x-note"',
  },
  'joins the lines of a header': {
    draft: TAGS,
    mistake: ({ lines }) => ({
      lines: [...withField(lines, 'x-tag', () => undefined), ['X-Tag', 'a,b']],
    }),
    cause: 'header-joined',
    refusal: 'signature-invalid',
    differs: '"x-tag"',
  },
  'drops a header': {
    draft: NOTE,
    mistake: ({ lines }) => ({ lines: withField(lines, 'x-note', () => undefined) }),
    cause: 'header-changed',
    refusal: 'signature-policy',
  },
};

describe('explain names the cause where a proxy', () => {
  it.each(Object.entries(mistakes))('%s', async (_, { mistake, draft, cause, refusal, differs }) => {
    desk.proxy.mistake = mistake;
    const found = await desk.explainedJson(bytesOf(desk.signed(draft)));
    expect(codes(found)).toEqual([cause]);
    expect(found.gateway).toEqual({ source: 'asked', status: expect.any(Number), code: refusal });
    expect([found.code, found.macHolds, found.firstDifference?.id]).toEqual([1, true, differs]);
  });

  it('changes nothing: then nothing is wrong, and the call was made', async () => {
    const found = await desk.explainedJson(bytesOf(desk.signed(TAGS)));
    expect([found.code, found.causes, found.firstDifference]).toEqual([0, [], null]);
    expect(found.gateway).toEqual({ source: 'asked', status: 200, code: null });
    expect(found.components.map(({ id, verdict }) => [id, verdict])).toEqual([
      ['"@method"', 'same'],
      ['"@target-uri"', 'same'],
      ['"x-tag"', 'same'],
      ['"@signature-params"', 'same'],
    ]);
  });
});

describe('the comparison', () => {
  it('stands line by line, with a caret under the first column that differs', async () => {
    desk.proxy.mistake = mistakes['changes Host to another public origin']?.mistake as Mistake;
    const { stdout } = await desk.explained(bytesOf(desk.signed()));
    const lines = stdout.split('\n');
    const at = lines.findIndex((line) => line.includes('"@target-uri"'));
    const [ours = '', gateways = '', caret = ''] = lines.slice(at, at + 3);
    expect(lines[at - 1]).toBe('  1 =  "@method": POST');
    expect(ours).toBe(`  2 !  file     "@target-uri": http://127.0.0.1:${desk.proxy.port}/v1/echo`);
    expect(gateways).toBe(`       gateway  "@target-uri": http://${INTERNAL}/v1/echo`);
    expect(caret.trim()).toBe('^');
    const column = caret.indexOf('^');
    expect([ours[column - 1], ours[column], gateways[column]]).toEqual(['/', '1', 'g']);
    expect(stdout).toContain('First difference: line 2, "@target-uri", column 23');
    expect(stdout).toContain('Cause: host-changed');
  });

  it("says can't compare where the gateway masks a value of the same length", async () => {
    desk.proxy.mistake = changesHost;
    const request = bytesOf(desk.signed(NOTE));
    const { stdout } = await desk.explained(request);
    expect(stdout).toContain("can't compare: the gateway shows <13 bytes>");
    const found = await desk.explainedJson(request);
    expect(found.components[2]).toEqual({
      id: '"x-note"',
      ours: 'tea  and milk',
      gateway: '<13 bytes>',
      verdict: 'cannot-compare',
    });
  });

  it('counts another length of a masked value as a difference', async () => {
    desk.proxy.mistake = ({ lines }) => ({ lines: withField(lines, 'x-note', () => 'tea') });
    const found = await desk.explainedJson(bytesOf(desk.signed(NOTE)));
    expect(found.firstDifference).toEqual({ id: '"x-note"', line: 3, column: null });
    expect(codes(found)).toEqual(['header-changed']);
  });
});
