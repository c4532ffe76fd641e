/**
 * The role that anybody may have where the gateway is on show: good for looking around, and for nothing that stays.
 * @module
 */
import { CountersignError } from '../errors.ts';
import { grants } from './roles.ts';
import type { SecurityContext } from './security-context.ts';

export const DEMO_ROLE = 'demo';

/**
 * Throws `role-missing` where the caller acts in the demo role alone. Such a key may be known to anybody: what its
 * caller changed, or asked for, would bind all who hold it.
 */
export function refuseDemo(context: SecurityContext): void {
  const { roles } = context;
  if (roles.length > 0 && roles.every((role) => grants(DEMO_ROLE, role))) {
    throw new CountersignError(
      'role-missing',
      'The demo role changes nothing and has nothing of its own; register a consumer for this call.',
    );
  }
}
