/** The upstream that a test author puts behind a gateway. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { startTestUpstream, type UpstreamAnswer, type UpstreamRequest } from '../../src/testing.ts';

async function upstreamWith(answer?: (request: UpstreamRequest) => UpstreamAnswer) {
  const upstream = await startTestUpstream(answer);
  onTestFinished(() => upstream.close());
  return upstream;
}

describe('a test upstream', () => {
  it('answers 200 and nothing, and notes what it was asked', async () => {
    const upstream = await upstreamWith();
    const response = await fetch(`${upstream.url}/a?b=%20`, {
      method: 'PUT',
      body: 'tea',
      headers: { 'X-A': '1' },
    });
    expect([response.status, await response.text()]).toEqual([200, '']);
    const [request] = upstream.requests;
    expect(request).toMatchObject({ method: 'PUT', target: '/a?b=%20' });
    expect(request?.fields.get('x-a')).toBe('1');
    expect(request?.body.toString()).toBe('tea');
  });

  it.each<[what: string, answer: UpstreamAnswer, type: string | null, body: string]>([
    ['text as it is', { body: 'plain' }, null, 'plain'],
    ['bytes as they are', { body: Buffer.from('bytes') }, null, 'bytes'],
    ['anything else as JSON', { body: { tea: 2 } }, 'application/json', '{"tea":2}'],
    ['JSON under its own type', { body: [1], headers: { 'Content-Type': 'a/b' } }, 'a/b', '[1]'],
  ])('sends %s', async (_what, answer, type, body) => {
    const { url } = await upstreamWith(() => ({ status: 202, ...answer }));
    const response = await fetch(url);
    expect(response.status).toBe(202);
    expect(response.headers.get('content-type')).toBe(type);
    expect(await response.text()).toBe(body);
  });

  it('answers 500 with the reason where its function throws', async () => {
    const { url } = await upstreamWith(() => {
      throw new Error('no tea');
    });
    const response = await fetch(url);
    expect([response.status, await response.text()]).toEqual([500, 'Error: no tea']);
  });
});
