/**
 * The roles that there are: those under `roles:` of the configuration, or any where it has no such list. A role that is
 * handed out beyond them opens nothing, and is a slip of the pen.
 * @module
 */
import { type Fault, roleFaults } from '../../../consumers/consumer.ts';
import { grants } from '../../../security/roles.ts';
import { OPERATOR } from './operator-roles.ts';

/** @param listed undefined where any role may be. */
export function isListed(role: string, listed: readonly string[] | undefined): boolean {
  return !listed || listed.some((each) => grants(each, role));
}

/** What is wrong with `roles` that an operator hands out. What operators do is there also where nobody lists it. */
export function handedOutFaults(roles: readonly string[], listed: readonly string[] | undefined): Fault[] {
  const faults = roleFaults('roles', roles);
  if (faults.length > 0) return faults;
  return roles.flatMap((role, i) =>
    grants(OPERATOR, role) || isListed(role, listed) ? [] : [{ path: `roles[${i}]`, detail: noRole(role) }],
  );
}

export function noRole(role: string): string {
  return `there is no role "${role}" here`;
}
