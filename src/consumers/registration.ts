/**
 * What operators do with consumers and keys, as units of work.
 * @module
 */
import { generateSecret } from '../signatures/hmac.ts';
import { type ConsumerChanges, checkConsumer, generateKeyid, KEY_LIFE } from './consumer.ts';
import type { KeyVault } from './key-vault.ts';

/** Shown once: the secret can't be had again. */
export interface IssuedKey {
  readonly consumer: string;
  readonly keyid: string;
  /** Base64. */
  readonly secret: string;
  readonly roles: readonly string[];
}

export interface NewConsumer {
  readonly name: string;
  readonly roles: readonly string[];
}

/** Registers a consumer with its first key, which is good for 90 days. */
export async function addConsumer(
  changes: ConsumerChanges,
  vault: KeyVault,
  { name, roles }: NewConsumer,
  now: number,
): Promise<IssuedKey> {
  checkConsumer(name, roles);
  const secret = generateSecret();
  const keyid = generateKeyid(name);
  await changes.add({ name, roles, createdAt: now });
  await changes.addKey({
    keyid,
    consumer: name,
    sealedSecret: vault.seal('key', keyid, secret),
    createdAt: now,
    notBefore: now,
    notAfter: now + KEY_LIFE,
  });
  return { consumer: name, keyid, secret: secret.toString('base64'), roles };
}
