/**
 * Who calls, and with which roles: frozen, and only ever narrowed.
 * @module
 */
import { CountersignError } from '../errors.ts';
import { grants, isRole } from './roles.ts';

export interface SecurityContext {
  /** The kind and name of the caller, such as `consumer:demo`; a person is known by a random id alone. */
  readonly principal: string;
  /** The person's account, by its random id. */
  readonly account?: string;
  readonly consumer?: string;
  readonly keyid?: string;
  readonly roles: readonly string[];
}

export function securityContext(context: SecurityContext): SecurityContext {
  return Object.freeze({ ...context, roles: Object.freeze([...context.roles]) });
}

/** The same caller with these roles alone; `role-missing` where it lacks one of them. There is no widening. */
export function narrow(context: SecurityContext, roles: readonly string[]): SecurityContext {
  for (const role of roles) {
    if (!isRole(role)) {
      throw new CountersignError('role-missing', `"${role}" is not a role; name roles that this key holds.`);
    }
    if (!context.roles.some((held) => grants(held, role))) {
      throw new CountersignError(
        'role-missing',
        `This key does not hold the role "${role}", so it can't be narrowed to it.`,
      );
    }
  }
  return securityContext({ ...context, roles });
}

/** Reads a `Countersign-Narrow` field: roles between commas. */
export function readNarrow(value: string): string[] {
  return value.split(',').map((role) => role.trim());
}
