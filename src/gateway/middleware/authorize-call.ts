/**
 * Narrows the caller's roles where the call asks for it, and demands the route's role.
 * @module
 */
import { PUBLIC_DEMO } from '../../consumers/public-demo.ts';
import { CountersignError } from '../../errors.ts';
import { type Authorized, authorize } from '../../security/authorize.ts';
import { refuseDemo } from '../../security/demo-role.ts';
import { narrow, readNarrow, type SecurityContext } from '../../security/security-context.ts';
import type { CallState, Route, Stage } from '../call.ts';

export const authorizeCall: Stage = async function authorizeCall(ctx, next) {
  const { state } = ctx;
  if (state.context) {
    if (state.route.credential === 'none') state.context = narrowed(state.context, state);
    // An endpoint that claims the nonce itself asks for the role itself too, once it knows whether the message was
    // here before. Until then the call has no context, so that nothing can be done in its name.
    else if (!state.claimed && !state.person) state.context = undefined;
    else state.context = permit(state.context, state, state.route.role);
  }
  return next();
};

/**
 * What the caller may do in this call, given what its key grants now.
 * @throws role-missing where that isn't what the route asks for.
 */
export function permit<Role extends string>(
  context: SecurityContext,
  state: CallState,
  role: Role,
): Authorized<Role> {
  const permitted = authorize(narrowed(context, state), role);
  // A key of the demo role may be anybody's; an account is one person's.
  if (isKeptFromDemo(state.route) && !state.person) refuseDemo(permitted);
  if (context.consumer === PUBLIC_DEMO) refuseChanges(state);
  return permitted;
}

export function isNarrowed({ message }: CallState): boolean {
  return message.fields.has('countersign-narrow');
}

function narrowed(context: SecurityContext, { message }: CallState): SecurityContext {
  const asked = message.fields.get('countersign-narrow');
  return asked === undefined ? context : narrow(context, readNarrow(asked));
}

/** Anybody may hold the public demo key, so it reads alone, from upstreams too, whatever its roles. */
function refuseChanges({ route, message: { method } }: CallState): void {
  const reads = method === 'GET' || method === 'HEAD' || route.changesNothing === true;
  if (reads && !isKeptFromDemo(route)) return;
  throw new CountersignError(
    'key-forbidden',
    'The public demo key only reads; ask an operator for a key of your own.',
  );
}

/** What remembers, changes or belongs to the caller. */
export function isKeptFromDemo({ idempotency, selfService }: Route): boolean {
  return selfService === true || idempotency === 'nonce' || idempotency === 'key';
}
