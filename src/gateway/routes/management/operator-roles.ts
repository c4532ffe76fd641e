/**
 * The roles of those who run the gateway. `operator` holds them all; each of the others holds the part that it names,
 * and `:read` of it.
 *
 * Nobody hands out more of them than they hold: whoever may issue keys must not issue themselves one that may do
 * everything.
 * @module
 */
import { CountersignError } from '../../../errors.ts';
import { grants, OPERATOR } from '../../../security/roles.ts';
import type { SecurityContext } from '../../../security/security-context.ts';

/** `role-missing` where one of these roles is an operator's, and the caller doesn't hold it. */
export function refuseBeyond(context: SecurityContext, roles: readonly string[]): void {
  for (const role of roles) {
    if (!grants(OPERATOR, role) || context.roles.some((held) => grants(held, role))) continue;
    throw new CountersignError(
      'role-missing',
      `This would hand out the role "${role}", which this key doesn't hold itself; ask somebody who does.`,
    );
  }
}
