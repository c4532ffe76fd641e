/**
 * Koa with the package `http-message-signatures`: verifies requests, checks the digest, signs responses. It keeps no
 * nonces, no quota and no log.
 * @module
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { httpbis } from 'http-message-signatures';
import Koa from 'koa';
import { announce, readJson } from './server.ts';

const secret = Buffer.from(process.env.BENCH_SECRET ?? '', 'base64');
const mac = (data: Buffer) => createHmac('sha256', secret).update(data).digest();
const digest = (body: Buffer | string) => `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;

const app = new Koa();
app.use(async (ctx) => {
  const request = { method: ctx.method, url: ctx.href, headers: ctx.headers as Record<string, string> };
  const holds = await httpbis.verifyMessage(
    {
      requiredFields: ['@method', '@target-uri', 'content-digest'],
      keyLookup: async () => ({
        algs: ['hmac-sha256'],
        verify: async (data, signature) => timingSafeEqual(mac(data), signature),
      }),
    },
    request,
  );
  const body = await readJson(ctx.req);
  if (!holds || ctx.get('content-digest') !== digest(body)) ctx.throw(401);
  const answer = JSON.stringify({ consumer: 'bench', echo: JSON.parse(body.toString()) });
  const headers = { 'content-type': 'application/json', 'content-digest': digest(answer) };
  const signed = await httpbis.signMessage(
    {
      key: { id: 'bench', alg: 'hmac-sha256', sign: async (data) => mac(data) },
      fields: ['@status', 'content-type', 'content-digest', '"@method";req', '"@target-uri";req'],
    },
    { status: 200, headers },
    request,
  );
  ctx.set(signed.headers as Record<string, string>);
  ctx.body = answer;
});
announce(app.callback());
