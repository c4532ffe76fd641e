/**
 * The innermost stage: the route's own answer, within its idempotency class.
 * @module
 */
import { CountersignError } from '../../errors.ts';
import type { Stage } from '../call.ts';

export const answer: Stage = async function answer(ctx) {
  const { route, message, verified, person } = ctx.state;
  if ((verified || person) && route.idempotency === 'none' && message.fields.has('idempotency-key')) {
    throw new CountersignError(
      'idempotency-key-invalid',
      'This route does not remember results, so an Idempotency-Key would promise what is not kept; leave it out.',
    );
  }
  await route.answer(ctx);
};
