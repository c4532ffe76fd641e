/** What `explain` finds out by itself, and what a kept answer tells. No network. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readGivenAnswer, readRecordedAnswer } from '../../src/client/explain/gateway-answer.ts';
import { reportOf } from '../../src/client/explain/report.ts';
import { CountersignError } from '../../src/errors.ts';
import { Fields } from '../../src/signatures/index.ts';
import { codes, explained, file, NOW } from './recorded-file.ts';

const given = (value: string | object) =>
  readGivenAnswer(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));
/** The base of a file, as a gateway that got it unchanged would compute it. */
const baseOf = (text: string) =>
  explained(text)
    .components.map(({ id, ours }) => `${id}: ${ours}`)
    .join('\n');

describe('what stands in the file', () => {
  it('names the form that the body had when it was signed', () => {
    const request = file({
      method: 'POST',
      body: '{"a":1}',
      headers: [['Content-Type', 'application/json']],
    });
    const found = explained(request.replace('{"a":1}', '{\n  "a": 1\n}'));
    expect(codes(found)).toEqual(['body-changed']);
    expect(found.causes[0]?.detail).toContain('as JSON without spaces');
  });

  it('shows the other lines where a covered field is missing', () => {
    const request = file({ headers: [['X-Note', 'tea']] }).replace('X-Note: tea\n', '');
    const found = explained(request);
    expect([codes(found), found.macHolds]).toEqual([['header-dropped'], null]);
    expect(found.components.map(({ ours }) => ours !== null)).toEqual([true, true, false, true]);
  });

  it.each([
    ['signature-malformed', (text: string) => text.replace('cs=(', 'cs=( ')],
    ['signature-policy', (text: string) => text.replace(';tag="countersign-request-v1"', '')],
    ['algorithm-wrong', (text: string) => text.replace('hmac-sha256', 'hmac-sha512')],
    ['target-ambiguous', (text: string) => text.replace('/orders', '/orders/../x')],
  ])('is judged as the gateway would: %s', (code, change) => {
    expect(codes(explained(change(file())))).toContain(code);
  });

  it('is ahead of the clock', () => {
    expect(codes(explained(file({ created: NOW + 31 })))).toEqual(['clock-skewed']);
    expect(codes(explained(file({ created: NOW + 30 })))).toEqual([]);
  });

  it('is not blamed for its age', () => {
    const found = explained(file({ created: NOW - 4000 }));
    expect([found.causes, found.notes.length]).toEqual([[], 1]);
  });

  it('is shown without the credentials in it', () => {
    const found = explained(file({ headers: [['Authorization', 'Bearer of-somebodys']] }));
    expect(found.components).toContainEqual(expect.objectContaining({ ours: '<19 bytes>' }));
    expect(JSON.stringify(found) + reportOf(found)).not.toContain('of-somebodys');
  });
});

describe('an answer that was kept', () => {
  it('that equals our base points at the key, and says what it could not compare', () => {
    const request = file({ headers: [['X-Note', 'tea']] });
    const base = baseOf(request).replace('"x-note": tea', '"x-note": <3 bytes>');
    const found = explained(request, { answer: given(base) });
    expect(codes(found)).toEqual(['secret-differs']);
    expect(found.causes[0]?.detail).toContain('Unless "x-note"');
    expect(found.components[2]?.verdict).toBe('cannot-compare');
  });

  it('that was cut at 8 KiB is compared as far as it goes', () => {
    const key = `"${'k'.repeat(200)}"`;
    const text = baseOf(file({ headers: [['Idempotency-Key', key]] }));
    const cut = given({ code: 'signature-invalid', signatureBase: text.slice(0, text.indexOf('kkk') + 50) });
    const found = explained(file({ headers: [['Idempotency-Key', key]] }), { answer: cut });
    expect(found.components.map(({ verdict }) => verdict)).toEqual([
      'same',
      'same',
      'cannot-compare',
      'cannot-compare',
    ]);
  });

  it('that speaks of a Cookie tells no base, and why', () => {
    const request = file({ headers: [['Cookie', 'a=b']] });
    const found = explained(request, { answer: given({ code: 'signature-invalid', detail: 'No.' }) });
    expect(codes(found)).toEqual(['signature-invalid']);
    expect(found.causes[0]?.detail).toContain('Cookie');
  });

  const values: [line: string, gateways: string, cause: string][] = [
    [
      '"@target-uri": https://api.example/orders',
      '"@target-uri": http://api.example/orders',
      'scheme-changed',
    ],
    ['"@target-uri": https://api.example/orders', '"@target-uri": https://api.example/order', 'path-changed'],
    [
      '"@target-uri": https://api.example/orders',
      '"@target-uri": https://api.example/orders?a',
      'query-missing',
    ],
    ['"@method": GET', '"@method": POST', 'method-changed'],
    ['"content-type": text/html; a=b', '"content-type": text/html;a=b', 'header-trimmed'],
    ['"x-tag": a, b', '"x-tag": <3 bytes>', 'header-joined'],
    ['"x-tag": a, b', '"x-tag": <1 bytes>', 'header-joined'],
    ['"x-note": tea', '"x-note": <9 bytes>', 'header-changed'],
  ];
  it.each(values)('%s, which came as %s', (ours, gateways, cause) => {
    const request = file({
      headers: [
        ['Content-Type', 'text/html; a=b'],
        ['X-Tag', 'a'],
        ['X-Tag', 'b'],
        ['X-Note', 'tea'],
      ],
    });
    const base = baseOf(request);
    expect(base).toContain(ours);
    expect(codes(explained(request, { answer: given(base.replace(ours, gateways)) }))).toEqual([cause]);
  });

  it('tells by its time that the clock of the signer was wrong', () => {
    const problem = { code: 'signature-expired', detail: 'Old.', 'server-time': NOW + 600 };
    const found = explained(file(), { answer: given(problem), now: NOW + 90_000 });
    expect(codes(found)).toEqual(['clock-skewed']);
  });

  it('of a proxy says nothing', () => {
    const fields = Fields.fromEntries([['content-type', 'text/html']]);
    expect(readRecordedAnswer({ status: 502, fields, body: Buffer.from('Bad gateway') })).toBeUndefined();
  });

  it('cannot act upon the terminal', () => {
    const answer = given(`${baseOf(file()).replace('/orders', '/orders\x1b[2J\u202e')}`);
    const text = reportOf(explained(file(), { answer }));
    expect([text.includes('\x1b'), text.includes('\u202e'), text.includes('/orders�[2J�')]).toEqual([
      false,
      false,
      true,
    ]);
  });
});

describe('whatever the file and the answer', () => {
  it('explain throws nothing but CountersignError, and a refused signature always has a cause', () => {
    const good = file({ method: 'POST', body: '{"a":1}', headers: [['X-Tag', 'a']] });
    const changed = fc
      .tuple(fc.nat(good.length - 1), fc.constantFrom(...' "();=:,a0?%~\n'))
      .map(([at, character]) => good.slice(0, at) + character + good.slice(at + 1));
    const base = fc.oneof(
      fc.string(),
      fc.nat(200).map((at) => baseOf(good).slice(at)),
      fc.nat(200).map((at) => baseOf(good).slice(0, at)),
    );
    fc.assert(
      fc.property(changed, base, fc.boolean(), (text, signatureBase, isAnswered) => {
        try {
          const answer = given({ code: 'signature-invalid', signatureBase });
          const found = explained(text, isAnswered ? { answer } : {});
          reportOf(found);
          expect(found.firstDifference === null).toBe(
            !found.components.some(({ verdict }) => verdict === 'different'),
          );
          if (isAnswered) expect(found.causes).not.toEqual([]);
        } catch (error) {
          if (!(error instanceof CountersignError)) throw error;
          expect(error.code).toBe('request-invalid');
        }
      }),
      { numRuns: 400 },
    );
  });
});
