/** 404 and 405: a page for a browser, a problem document for a program. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestGateway, type TestGateway } from '../../src/testing.ts';
import { callUnsigned } from './people-under-test.ts';
import { type Answer, problem, send, sign, verifyAnswer } from './wire.ts';

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startTestGateway();
});
afterAll(() => gateway.close());

/** As Firefox and Chrome send it. */
const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8';
const PROBLEM = 'application/problem+json';

const call = (first: string, accept?: string) =>
  callUnsigned(gateway, first, accept === undefined ? [] : [`Accept: ${accept}`]);
const typeOf = ({ headers }: Answer) => headers.get('content-type')?.split(';')[0];

describe('where nothing is served', () => {
  it.each<[string, string | undefined, string]>([
    ['a browser', BROWSER, 'text/html'],
    ['who wants a page', 'text/html', 'text/html'],
    ['who likes a page better', 'application/json;q=0.4, text/html;q=0.5', 'text/html'],
    ['who says nothing', undefined, PROBLEM],
    ['who takes anything', '*/*', PROBLEM],
    ['who takes any text', 'text/*', 'text/html'],
    ['who takes JSON', 'application/json', PROBLEM],
    ['who likes both, a page first', 'text/html, application/json', 'text/html'],
    ['who likes both, JSON first', 'application/json, text/html', PROBLEM],
    ['who likes JSON better', 'text/html;q=0.5, application/json', PROBLEM],
    ['who takes neither', 'image/png', PROBLEM],
    ['who refuses pages', 'text/html;q=0, */*', PROBLEM],
    ['who says nonsense', ';;q=,"', PROBLEM],
  ])('%s is answered in kind', async (_who, accept, type) => {
    const answer = await call('GET /nowhere', accept);
    expect([answer.status, typeOf(answer)]).toEqual([404, type]);
    expect(answer.headers.get('countersign-refusal')).toBe('not-found');
    expect(answer.headers.get('vary')).toBe('Accept');
  });

  it('the page says where to go next, runs nothing and fetches nothing', async () => {
    const { headers, body } = await call('GET /nowhere', BROWSER);
    expect(body).toContain('<h1>Nothing is here</h1>');
    expect(body).toContain('href="/docs"');
    expect(body).toContain(headers.get('countersign-request-id') as string);
    expect(body).not.toMatch(/<script|<img|<link|src=|\son\w+=|https?:/);
    const style = /<style>(.*)<\/style>/s.exec(body)?.[1] as string;
    const hash = createHash('sha256').update(style).digest('base64');
    expect(headers.get('content-security-policy')).toBe(
      `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    );
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });

  it.each(['/<script>alert(1)</script>', '/%3Cscript%3E', "/'onload='x", '/?q=<script>'])(
    'the page does not say %s back',
    async (path) => {
      const { body } = await call(`GET ${path}`, BROWSER);
      expect(body).not.toMatch(/script|onload/);
    },
  );

  it('another method gets a page that names those that there are', async () => {
    const answer = await call('POST /v1/ping', BROWSER);
    expect([answer.status, typeOf(answer)]).toEqual([405, 'text/html']);
    expect(answer.headers.get('allow')).toBe('GET, HEAD');
    expect(answer.body).toContain('This path answers GET, HEAD.');
  });

  it('HEAD gets the header of the page alone', async () => {
    const answer = await call('HEAD /nowhere', BROWSER);
    expect([answer.status, typeOf(answer), answer.body]).toEqual([404, 'text/html', '']);
  });

  it('a signed call is a program, whatever it accepts', async () => {
    const headers = [['Accept', BROWSER]] as const;
    const request = sign(gateway, gateway.credentials, { method: 'GET', target: '/nowhere', headers });
    const answer = await send(gateway, request);
    expect(typeOf(answer)).toBe(PROBLEM);
    expect(problem(answer).code).toBe('not-found');
    verifyAnswer(answer, request, gateway.credentials);
  });

  it('every other refusal is a problem document, for browsers too', async () => {
    expect(typeOf(await call('GET /v1/whoami', BROWSER))).toBe(PROBLEM);
    expect(typeOf(await call('GET //nowhere', BROWSER))).toBe(PROBLEM);
  });

  it('what is served is what it always was', async () => {
    expect(typeOf(await call('GET /v1/ping', BROWSER))).toBe('application/json');
  });
});
