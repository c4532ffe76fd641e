/**
 * Consumers and their keys: what they are, and the port through which they are kept.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { CountersignError } from '../errors.ts';
import { isRole } from '../security/roles.ts';

/** Times are whole seconds since the epoch. */
export interface Consumer {
  readonly name: string;
  readonly roles: readonly string[];
  readonly createdAt: number;
  readonly disabledAt?: number;
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
}

/** Reads of what is committed. */
export interface ConsumerReader {
  findKey(keyid: string): { readonly consumer: Consumer; readonly key: ConsumerKey } | undefined;
  find(name: string): Consumer | undefined;
  list(): Consumer[];
  keysOf(name: string): ConsumerKey[];
}

/** Changes, inside a unit of work. Each is told to every process on the store before its next verdict. */
export interface ConsumerChanges {
  /** `consumer-exists` where the name is taken. */
  add(consumer: Consumer): void | Promise<void>;
  addKey(key: ConsumerKey): void | Promise<void>;
  /** `consumer-unknown` where there is none. Disabling twice keeps the first time. */
  disable(name: string, at: number): void | Promise<void>;
  /** `key-unknown` where there is none. Revoking twice keeps the first time. */
  revokeKey(keyid: string, at: number): void | Promise<void>;
}

const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** No key is for ever: 90 days. */
export const KEY_LIFE = 90 * 24 * 3600;

/** Checks what an operator typed; `consumer-invalid` names every fault. */
export function checkConsumer(name: string, roles: readonly string[]): void {
  const faults: string[] = [];
  if (!NAME.test(name)) {
    faults.push(
      `the name "${name}" must be lower-case letters, digits and hyphens, 63 at most, not starting with a hyphen`,
    );
  }
  for (const role of roles) {
    if (!isRole(role))
      faults.push(`the role "${role}" must be lower-case words joined by colons, such as orders:read`);
  }
  if (faults.length > 0)
    throw new CountersignError('consumer-invalid', `Not a consumer: ${faults.join('; ')}.`);
}

/** A public identifier of a key: says whose it is, and can't be guessed into another. */
export function generateKeyid(consumer: string): string {
  return `${consumer}.${randomBytes(9).toString('base64url')}`;
}
