/**
 * Keys as the pipeline needs them: found by keyid, their secret opened once and held in memory.
 * @module
 */
import type { KeyObject } from 'node:crypto';
import { type SecurityContext, securityContext } from '../security/security-context.ts';
import { secretKey } from '../signatures/hmac.ts';
import { AddressList } from './address-list.ts';
import { type Consumer, type ConsumerKey, type ConsumerReader, effectiveRoles } from './consumer.ts';
import type { KeyVault } from './key-vault.ts';
import { UsageCount } from './usage.ts';

export interface ActiveKey {
  readonly keyid: string;
  readonly consumer: string;
  /** The consumer's pseudonymous id. */
  readonly actor: string;
  readonly secret: KeyObject;
  readonly context: SecurityContext;
  /** Why the key is not good at this second, as a sentence; undefined where it is. */
  inactive(now: number): string | undefined;
  /**
   * Why the key may not be used from an address, or beside a client certificate, as a sentence; undefined where it may.
   * @param certificateUri asked where the key is bound to one; undefined where no certificate counts.
   */
  forbids(address: string, certificateUri: () => string | undefined): string | undefined;
}

export class KeyDirectory {
  /** The calls that were accepted; whoever accepts one counts it. */
  readonly usage = new UsageCount();
  private readonly held = new Map<string, ActiveKey>();
  private readonly reader: ConsumerReader;
  private readonly vault: KeyVault;

  constructor(reader: ConsumerReader, vault: KeyVault) {
    this.reader = reader;
    this.vault = vault;
  }

  /** Looks an unknown keyid up in the store, so that a key made a moment ago by another process is known. */
  find(keyid: string): ActiveKey | undefined {
    const known = this.held.get(keyid);
    if (known) return known;
    const found = this.reader.findKey(keyid);
    if (!found) return undefined;
    const key = this.activate(found.consumer, found.key);
    this.held.set(keyid, key);
    return key;
  }

  /** Whether the keyid is known without asking the store: cheap, for refusing early. */
  knows(keyid: string): boolean {
    return this.held.has(keyid);
  }

  /** Drops what is held of a consumer that was changed. */
  forget(consumer: string): void {
    for (const [keyid, key] of this.held) {
      if (key.consumer === consumer) this.held.delete(keyid);
    }
  }

  /** The same where it isn't known who was changed. */
  forgetAll(): void {
    this.held.clear();
  }

  private activate(consumer: Consumer, key: ConsumerKey): ActiveKey {
    const allowed = key.allow && new AddressList(key.allow);
    return {
      keyid: key.keyid,
      consumer: consumer.name,
      actor: consumer.id,
      secret: secretKey(this.vault.open('key', key.keyid, key.sealedSecret)),
      context: securityContext({
        principal: `consumer:${consumer.name}`,
        consumer: consumer.name,
        keyid: key.keyid,
        roles: effectiveRoles(consumer.roles, key),
      }),
      inactive(now) {
        if (consumer.disabledAt !== undefined) return 'The consumer is disabled; ask an operator.';
        if (key.revokedAt !== undefined) return 'The key was revoked; ask an operator for another.';
        if (now < key.notBefore) return `The key is not valid yet; it begins at ${isoTime(key.notBefore)}.`;
        if (now >= key.notAfter)
          return `The key expired at ${isoTime(key.notAfter)}; ask an operator for another.`;
        return undefined;
      },
      forbids(address, certificateUri) {
        if (allowed && !allowed.has(address)) {
          return `The key may not be used from ${address || 'this address'}; ask an operator which addresses it is for.`;
        }
        if (key.certificateUri === undefined) return undefined;
        const shown = certificateUri();
        if (shown === key.certificateUri) return undefined;
        const instead = shown === undefined ? 'none that counts' : `that of ${shown}`;
        return `The key is bound to the client certificate of ${key.certificateUri}, and the connection shows ${instead}; connect with a certificate of that name, from a trusted root and within its dates.`;
      },
    };
  }
}

function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
