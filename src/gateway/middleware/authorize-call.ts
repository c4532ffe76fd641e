/**
 * Narrows the caller's roles where the call asks for it, and demands the route's role.
 * @module
 */
import { authorize } from '../../security/authorize.ts';
import { narrow, readNarrow } from '../../security/security-context.ts';
import type { Stage } from '../call.ts';

export const authorizeCall: Stage = async function authorizeCall(ctx, next) {
  const { state } = ctx;
  if (state.context) {
    const asked = state.message.fields.get('countersign-narrow');
    if (asked !== undefined) state.context = narrow(state.context, readNarrow(asked));
    if (state.route.credential !== 'none') authorize(state.context, state.route.role);
  }
  return next();
};
