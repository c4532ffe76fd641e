/**
 * What of a new configuration a running gateway can follow, and what waits for a restart.
 * @module
 */
import { isDeepStrictEqual } from 'node:util';
import { type Config, isLoopbackHost } from './config.ts';

/** Nothing that is in flight, kept or listened on depends on these. */
export const FOLLOWED = [
  'routes',
  'roles',
  'grantableRoles',
  'grantableTo',
  'quotas',
  'accounts',
  'origins',
  'logLevel',
] as const;

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
  // The new host may need no origins, and the one that is still listened on would answer to none.
  const areMissing = next.origins.length === 0 && !isLoopbackHost(current.host);
  const waits = (name: string) => !isFollowed(name) || (name === 'origins' && areMissing);
  const changed = differing.filter((name) => !waits(name));
  const taken = Object.fromEntries(changed.map((name) => [name, next[name]]));
  return {
    config: Object.freeze({ ...current, ...taken }),
    changed,
    restart: differing.filter(waits),
  };
}

function isFollowed(name: string): boolean {
  return (FOLLOWED as readonly string[]).includes(name);
}
