/**
 * The one place where a role is demanded. Its result is the only proof of it that a function can ask for.
 * @module
 */
import { CountersignError } from '../errors.ts';
import { ANY_ROLE, grants } from './roles.ts';
import type { SecurityContext } from './security-context.ts';

declare const authorized: unique symbol;

/** A context that `authorize()` has let through for this role. It can't be made in another way. */
export type Authorized<Role extends string> = SecurityContext & { readonly [authorized]: Role };

/** Throws `role-missing` unless the context grants the role; `any` asks only for an authenticated caller. */
export function authorize<Role extends string>(context: SecurityContext, role: Role): Authorized<Role> {
  if (role !== ANY_ROLE && !context.roles.some((held) => grants(held, role))) {
    throw new CountersignError('role-missing', `This call needs the role "${role}"; ask an operator for it.`);
  }
  return context as Authorized<Role>;
}
