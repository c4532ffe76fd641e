/**
 * Turns whatever a later stage throws into problem details (RFC 9457).
 * @module
 */
import type { Logger } from 'pino';
import { CountersignError, type RefusalCode } from '../../errors.ts';
import type { Context, Stage } from '../call.ts';
import { sendPage, wantsPage } from '../problem-page.ts';
import { PROBLEM_TYPE, toProblem } from '../refusals.ts';

/** Refusals that an operator should hear of, with their cause. */
const OPERATORS: ReadonlySet<RefusalCode> = new Set([
  'internal-error',
  'store-unavailable',
  'upstream-unreachable',
  'upstream-timeout',
  'upstream-invalid',
]);

export function renderProblem({ logger }: { logger: Logger }): Stage {
  return async function renderProblem(ctx, next) {
    try {
      await next();
    } catch (error) {
      const code = sendProblem(ctx, error);
      if (error instanceof CountersignError && error.code === 'connection-lost') {
        // Nobody reads the answer. What the log tells is what happened.
        ctx.state.refusal = error.code;
        return;
      }
      if (OPERATORS.has(code)) logger.error({ requestId: ctx.state.requestId, err: error }, code);
    }
  };
}

/** Makes the problem the answer, in place of whatever a stage had begun: its ETag or coding would be said of it. */
export function sendProblem(ctx: Context, error: unknown): RefusalCode {
  const problem = toProblem(error);
  for (const name of ctx.res.getHeaderNames()) {
    if (name !== 'countersign-request-id') ctx.res.removeHeader(name);
  }
  ctx.state.refusal = problem.code;
  ctx.status = problem.status;
  ctx.set('Countersign-Refusal', problem.code);
  for (const name in problem.headers) ctx.set(name, problem.headers[name] as string);
  if (wantsPage(ctx, problem.code)) sendPage(ctx, problem.code, problem.detail);
  else {
    ctx.set('Content-Type', PROBLEM_TYPE);
    ctx.body = problem.body;
  }
  return problem.code;
}
