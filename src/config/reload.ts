/**
 * What of a new configuration a running gateway can follow, and what waits for a restart.
 * @module
 */
import { isDeepStrictEqual } from 'node:util';
import type { Config } from './config.ts';

/** Nothing that is in flight, kept or listened on depends on these. */
export const FOLLOWED = ['routes', 'roles', 'grantableRoles', 'quotas', 'origins', 'logLevel'] as const;

type Followed = (typeof FOLLOWED)[number];

export interface Reload {
  /** The configuration in force with what it can follow of the new one. */
  readonly config: Config;
  /** The settings that were followed. */
  readonly changed: readonly string[];
  /** The settings that differ, and stay as they were until a restart. */
  readonly restart: readonly string[];
}

export function follow(current: Config, next: Config): Reload {
  const names = Object.keys(next) as (keyof Config)[];
  const differing = names.filter((name) => !isDeepStrictEqual(current[name], next[name]));
  const changed = differing.filter(isFollowed);
  const taken = Object.fromEntries(changed.map((name) => [name, next[name]]));
  return {
    config: Object.freeze({ ...current, ...taken }),
    changed,
    restart: differing.filter((name) => !isFollowed(name)),
  };
}

function isFollowed(name: string): name is Followed {
  return (FOLLOWED as readonly string[]).includes(name);
}
