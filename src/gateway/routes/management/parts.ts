/**
 * What the nouns of the management API are given.
 * @module
 */
import type { AccountReader } from '../../../accounts/account.ts';
import type { ConsumerReader } from '../../../consumers/consumer.ts';
import type { EndpointParts } from '../endpoint-route.ts';

/** What the configuration says of roles. */
export interface RoleSettings {
  /** The roles that there are; undefined where any may be. */
  readonly listed: readonly string[] | undefined;
  /** Those that a consumer may have for the asking. */
  readonly grantable: readonly string[];
  /** Those that it may have so if it holds one of certain roles. */
  readonly grantableTo: readonly { readonly name: string; readonly to: readonly string[] }[];
  /** The routes to upstreams, each with the role that it asks for. */
  readonly routes: readonly { readonly path: string; readonly role: string }[];
}

export interface ManagementParts extends EndpointParts {
  /** What is committed. */
  readonly consumers: ConsumerReader;
  readonly accounts: AccountReader;
  /** Asked at each call: a reload may change it. */
  readonly roleSettings: () => RoleSettings;
}
