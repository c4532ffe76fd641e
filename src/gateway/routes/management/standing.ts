/**
 * What an operator says of a consumer and of an account alike: its roles, and whether it may call.
 * @module
 */
import { z } from 'zod';
import { roles } from './schemas.ts';

export const standingChange = z
  .strictObject({ roles: roles.optional(), disabled: z.boolean().optional() })
  .refine((change) => Object.keys(change).length > 0, 'name what to change: roles or disabled');

interface Standing {
  readonly roles: readonly string[];
  /** Epoch seconds. */
  readonly disabledAt?: number;
  readonly version: number;
}

export interface ChangedStanding<T> {
  readonly before: T;
  /** For the store; `null` enables it again. */
  readonly change: { readonly roles?: readonly string[]; readonly disabledAt?: number | null };
  /** With the next version. */
  readonly after: T;
}

/** What was disabled before stays so since then. @param now epoch seconds. */
export function changedStanding<T extends Standing>(
  before: T,
  { roles, disabled }: z.output<typeof standingChange>,
  now: number,
): ChangedStanding<T> {
  const disabledAt = disabled ? (before.disabledAt ?? now) : undefined;
  const change = {
    ...(roles && { roles: [...new Set(roles)] }),
    ...(disabled !== undefined && { disabledAt: disabledAt ?? null }),
  };
  const after = {
    ...before,
    ...(roles && { roles: change.roles }),
    ...(disabled !== undefined && { disabledAt }),
    version: before.version + 1,
  };
  return { before, change, after };
}

/** For the audit record. */
export function standingDetail<T extends Standing>({ before, change }: ChangedStanding<T>) {
  return {
    ...(change.roles && { roles: change.roles, rolesBefore: before.roles }),
    ...(change.disabledAt !== undefined && { disabled: change.disabledAt !== null }),
  };
}
