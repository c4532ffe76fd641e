/**
 * The yardstick: Koa, a body and an echo. It checks nothing.
 * @module
 */
import Koa from 'koa';
import { announce, readJson } from './server.ts';

const app = new Koa();
app.use(async (ctx) => {
  ctx.body = { consumer: 'bench', echo: JSON.parse((await readJson(ctx.req)).toString()) };
});
announce(app.callback());
