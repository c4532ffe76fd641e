/**
 * Reads the body up to the limit. Whatever is above it is refused from Content-Length alone.
 * @module
 */
import type { IncomingMessage } from 'node:http';
import { CountersignError } from '../../errors.ts';
import { announcesBody } from '../../signatures/request-profile.ts';
import type { Context, Stage } from '../call.ts';

/** Bytes and milliseconds for which a body that is refused is still read, so that its sender sees the answer. */
const MOST_DRAINED = 4 * 1024 * 1024;
const LONGEST_DRAIN = 2000;

export function readBody({ mostBytes }: { mostBytes: number }): Stage {
  return async function readBody(ctx, next) {
    const { state, req } = ctx;
    // Without a good MAC nothing is read: no route asks for an unsigned body.
    if (state.verified && announcesBody(state.message)) {
      const length = Number(state.message.fields.get('content-length') ?? 0);
      if (length > mostBytes) throw await tooLarge(ctx, mostBytes);
      if (req.headers.expect !== undefined) ctx.res.writeContinue();
      state.body = (await collect(req, mostBytes)) ?? (await refuse(ctx, mostBytes));
    }
    return next();
  };
}

async function refuse(ctx: Context, mostBytes: number): Promise<never> {
  throw await tooLarge(ctx, mostBytes);
}

async function tooLarge(ctx: Context, mostBytes: number): Promise<CountersignError> {
  // Who waits for 100 Continue has sent nothing yet.
  if (ctx.req.headers.expect === undefined) await drain(ctx.req);
  return new CountersignError(
    'body-too-large',
    `The body is larger than ${mostBytes} bytes; send less at a time.`,
    {
      headers: { Connection: 'close' },
    },
  );
}

/** The whole body, or undefined where it grew beyond the limit. */
function collect(req: IncomingMessage, mostBytes: number): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (act: () => void) => {
      req.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      act();
    };
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size <= mostBytes) chunks.push(chunk);
      else settle(() => resolve(undefined));
    };
    const onEnd = () => settle(() => resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, size)));
    const onClose = () => settle(() => reject(gone()));
    req.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });
}

function gone(): CountersignError {
  return new CountersignError('request-malformed', 'The connection ended before the body did.');
}

function drain(req: IncomingMessage): Promise<void> {
  if (req.readableEnded || req.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    let size = 0;
    const end = () => {
      clearTimeout(timer);
      req.off('data', count).off('end', end).off('close', end).pause();
      resolve();
    };
    const count = (chunk: Buffer) => {
      size += chunk.length;
      if (size > MOST_DRAINED) end();
    };
    const timer = setTimeout(end, LONGEST_DRAIN);
    req.on('data', count).on('end', end).on('close', end);
  });
}
