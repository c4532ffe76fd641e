/**
 * Finds where the call goes. What leads nowhere is a route too, whose answer is 404 or 405: so a call that bears a
 * signature is authenticated first, and even that answer is signed.
 * @module
 */
import { CountersignError } from '../../errors.ts';
import { pathOf } from '../../signatures/components.ts';
import type { Stage } from '../call.ts';
import type { Routes } from '../routes/routes.ts';

export function findRoute({ routes }: { routes: () => Routes }): Stage {
  return async function findRoute(ctx, next) {
    const { message, encodedSlash } = ctx.state;
    const { route, params } = routes().find(message.method, pathOf(message.target), ctx.state.local);
    if (encodedSlash && !route.encodedSlash) {
      throw new CountersignError(
        'target-ambiguous',
        'The path holds %2f, which this route does not allow: an upstream might read it as a slash.',
      );
    }
    ctx.state.route = route;
    ctx.state.params = params;
    return next();
  };
}
