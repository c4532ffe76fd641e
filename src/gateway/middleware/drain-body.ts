/**
 * Reads off what the sender of a refused call is still sending, within bounds, so that it comes to see the answer: a
 * socket that is closed upon unread bytes is reset, and a reset overtakes the answer.
 * @module
 */
import type { IncomingMessage } from 'node:http';
import type { Stage } from '../call.ts';

/** Bytes and milliseconds: whoever sends more, or more slowly, is cut off after the answer. */
const MOST_DRAINED = 4 * 1024 * 1024;
const LONGEST_DRAIN = 2000;

export const drainBody: Stage = async function drainBody(ctx, next) {
  await next();
  const { req, state } = ctx;
  if (req.complete) return;
  // Who waits for 100 Continue sends nothing; Node closes the connection after such an answer by itself.
  if (req.headers.expect !== undefined && !state.continued) return;
  await drain(req);
  if (!req.complete) ctx.set('Connection', 'close');
};

function drain(req: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    if (req.destroyed) return resolve();
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
