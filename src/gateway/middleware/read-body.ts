/**
 * Reads the body up to the limit: a signed one as it is, an unsigned one where the route is for people. Whatever is above it is refused from Content-Length alone.
 * @module
 */
import type { IncomingMessage } from 'node:http';
import { announcesBody } from '../../signatures/request-profile.ts';
import type { Context, Stage } from '../call.ts';
import { gone, MOST_FORM, readFormBody, tooLarge } from '../form-body.ts';

export function readBody({ mostBytes }: { mostBytes: number }): Stage {
  return async function readBody(ctx, next) {
    const { state } = ctx;
    if (!announcesBody(state.message)) return next();
    if (state.verified) {
      begin(ctx, mostBytes);
      state.body = await collect(ctx.req, mostBytes);
    } else if (state.route.reads === 'people') {
      begin(ctx, MOST_FORM);
      await readFormBody(ctx);
    }
    return next();
  };
}

function begin({ state, req, res }: Context, mostBytes: number): void {
  const { fields } = state.message;
  if (Number(fields.get('content-length') ?? 0) > mostBytes) throw tooLarge(mostBytes);
  // The caller may hold its body back until it is told to go on; HTTP/1.0 knows no such answer.
  if (fields.has('expect') && req.httpVersion === '1.1') {
    res.writeContinue();
    state.continued = true;
  }
}

/** The whole body; `body-too-large` where it grows beyond the limit, `connection-lost` where it ends too early. */
function collect(req: IncomingMessage, mostBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // The caller may have gone while the nonce was claimed: then no event comes any more.
    if (req.destroyed) return reject(gone());
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (act: () => void) => {
      req.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      act();
    };
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size <= mostBytes) chunks.push(chunk);
      else settle(() => reject(tooLarge(mostBytes)));
    };
    const onEnd = () =>
      settle(() => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size)));
    const onClose = () => settle(() => reject(gone()));
    req.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });
}
