/**
 * Consumers and their keys: what they are, and the port through which they are kept.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { CountersignError } from '../errors.ts';
import { grants, intersectRoles, isRole, OPERATOR } from '../security/roles.ts';

/** Times are whole seconds since the epoch. */
export interface Consumer {
  /** Random, and what log and audit know it by, also after it was removed. */
  readonly id: string;
  readonly name: string;
  readonly roles: readonly string[];
  readonly createdAt: number;
  readonly disabledAt?: number;
  /** Counts changes: the entity tag of the management API. */
  readonly version: number;
}

export interface ConsumerKey {
  readonly keyid: string;
  readonly consumer: string;
  /** The shared secret, sealed by the key vault for the purpose `key` and this keyid. */
  readonly sealedSecret: Buffer;
  readonly createdAt: number;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly revokedAt?: number;
  /** For people: which of the consumer's services holds it. */
  readonly label?: string;
  /** The roles that it grants of those that the consumer has; all of them where undefined. */
  readonly roleSubset?: readonly string[];
  /** Addresses and CIDRs that it may be used from; any where undefined. */
  readonly allow?: readonly string[];
  /** The URI name of the client certificate that calls with it must come with; none is asked for where undefined. */
  readonly certificateUri?: string;
  /** When an operator last issued a key of this line. A consumer may rotate by itself for a year from then. */
  readonly vouchedAt: number;
  /** The key that took its place. */
  readonly successor?: string;
}

/** What the warnings need of a key, without its secret. */
export interface KeyTerm {
  readonly keyid: string;
  readonly consumer: string;
  readonly notAfter: number;
  /** When its successor was made, where it has one. */
  readonly supersededAt?: number;
  readonly lastUsed?: number;
}

/** Written in batches, so it may lag behind by some seconds. */
export interface KeyUsage {
  readonly lastUsed: number;
  readonly calls: number;
}

/** A role that a consumer asked for. */
export interface RoleGrant {
  readonly id: string;
  readonly consumer: string;
  readonly role: string;
  readonly status: 'requested' | 'granted' | 'denied';
  readonly requestedAt: number;
  readonly decidedAt?: number;
}

/** A page of a list, by name: what comes after `after`, at most `limit`. */
export interface Page {
  readonly after?: string;
  readonly limit: number;
}

/** Reads: of what is committed, or inside a unit of work of what stands there. */
export interface ConsumerReader {
  findKey(keyid: string): { readonly consumer: Consumer; readonly key: ConsumerKey } | undefined;
  find(name: string): Consumer | undefined;
  /** In the order of names. */
  list(page?: Page): Consumer[];
  keysOf(name: string): ConsumerKey[];
  usageOf(keyid: string): KeyUsage | undefined;
  /** Keys that are or will be good: not revoked, not ended, of no disabled consumer. The soonest end comes first. */
  standingKeys(now: number): KeyTerm[];
  findGrant(id: string): RoleGrant | undefined;
  /** In the order of ids; of one consumer, or of all. */
  grants(filter?: { readonly consumer?: string; readonly status?: RoleGrant['status'] }): RoleGrant[];
}

/** Changes, inside a unit of work. Each is told to every process on the store before its next verdict. */
export interface ConsumerChanges {
  /** Gives it a random id; `consumer-exists` where the name is taken. */
  add(consumer: Omit<Consumer, 'id' | 'version'>): void | Promise<void>;
  /** `consumer-unknown` where there is none. `null` enables it again. */
  update(
    name: string,
    change: { readonly roles?: readonly string[]; readonly disabledAt?: number | null },
  ): void | Promise<void>;
  /** Removes it with its keys and grants; `consumer-unknown` where there is none. */
  remove(name: string): void | Promise<void>;
  addKey(key: Omit<ConsumerKey, 'vouchedAt'> & { readonly vouchedAt?: number }): void | Promise<void>;
  /** `key-unknown` where there is none. */
  updateKey(
    keyid: string,
    change: { readonly notAfter?: number; readonly successor?: string },
  ): void | Promise<void>;
  /** `consumer-unknown` where there is none. Disabling twice keeps the first time. */
  disable(name: string, at: number): void | Promise<void>;
  /** `key-unknown` where there is none. Revoking twice keeps the first time. */
  revokeKey(keyid: string, at: number): void | Promise<void>;
  putGrant(grant: RoleGrant): void | Promise<void>;
  /** Adds to what was counted. No process is told: usage decides nothing. */
  addUsage(keyid: string, usage: KeyUsage): void | Promise<void>;
}

const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** No key is for ever: 90 days. */
export const KEY_LIFE = 90 * 24 * 3600;

/** One thing that is wrong with what was asked for. */
export interface Fault {
  /** Where it stands in the input, such as `roles[0]`. */
  readonly path: string;
  readonly detail: string;
}

/** Every fault of a consumer that is to be registered. @param listed as for `handedOutFaults`. */
export function consumerFaults(
  name: string,
  roles: readonly string[],
  listed: readonly string[] | undefined,
): Fault[] {
  const faults: Fault[] = [];
  if (!NAME.test(name)) {
    const detail = `the name "${name}" must be lower-case letters, digits and hyphens, 63 at most, not starting with a hyphen`;
    faults.push({ path: 'name', detail });
  }
  return [...faults, ...handedOutFaults(roles, listed)];
}

export function roleFaults(path: string, roles: readonly string[]): Fault[] {
  return roles.flatMap((role, i) => {
    if (isRole(role)) return [];
    const detail = `the role "${role}" must be lower-case words joined by colons, such as orders:read`;
    return [{ path: `${path}[${i}]`, detail }];
  });
}

/**
 * What is wrong with roles that somebody is to have: beyond those that there are, a role opens nothing, and is a slip
 * of the pen. What operators do is there also where nobody lists it.
 * @param listed the roles under `roles:` of the configuration; undefined where it has no such list, and any may be.
 */
export function handedOutFaults(roles: readonly string[], listed: readonly string[] | undefined): Fault[] {
  const there = listed && [OPERATOR, ...listed];
  const unknown = roles.flatMap((role, i) =>
    !there || !isRole(role) || there.some((each) => grants(each, role))
      ? []
      : [{ path: `roles[${i}]`, detail: `there is no role "${role}" here` }],
  );
  return [...roleFaults('roles', roles), ...unknown];
}

/** `consumer-invalid`, which names every fault in words and as `errors`; nothing where there is none. */
export function refuseFaults(what: string, faults: readonly Fault[]): void {
  if (faults.length === 0) return;
  const told = faults.map(({ detail }) => detail).join('; ');
  throw new CountersignError('consumer-invalid', `Not ${what}: ${told}.`, { members: { errors: faults } });
}

/** What calls with a key are granted: never more than the consumer has, never more than the key's subset. */
export function effectiveRoles(
  roles: readonly string[],
  { roleSubset }: Pick<ConsumerKey, 'roleSubset'>,
): readonly string[] {
  return roleSubset ? intersectRoles(roles, roleSubset) : roles;
}

export function generateConsumerId(): string {
  return randomBytes(12).toString('hex');
}

/** A public identifier of a key: says whose it is, and can't be guessed into another. */
export function generateKeyid(consumer: string): string {
  return `${consumer}.${randomBytes(9).toString('base64url')}`;
}
