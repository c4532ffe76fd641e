/**
 * What operators do with consumers and keys, as units of work; the management API does the same.
 * @module
 */
import { CountersignError } from '../errors.ts';
import { generateSecret } from '../signatures/hmac.ts';
import {
  type ConsumerChanges,
  type ConsumerKey,
  consumerFaults,
  effectiveRoles,
  generateKeyid,
  refuseFaults,
} from './consumer.ts';
import { checkKeyDraft, checkOverlap, datesOf, type KeyDraft, MOST_KEY_LIFE, OVERLAP } from './key-draft.ts';
import type { KeyVault } from './key-vault.ts';

/** Shown once: the secret can't be had again. */
export interface IssuedKey {
  readonly consumer: string;
  readonly keyid: string;
  /** Base64. */
  readonly secret: string;
  /** What calls with the key are granted: the consumer's roles, within the key's subset. */
  readonly roles: readonly string[];
}

export interface NewConsumer {
  readonly name: string;
  readonly roles: readonly string[];
}

export interface ConsumerDraft extends NewConsumer {
  /** The roles that there are; undefined where any may be. */
  readonly listed?: readonly string[] | undefined;
}

/** A key to be added, and its secret in clear. */
export interface NewKey {
  readonly key: Omit<ConsumerKey, 'vouchedAt'>;
  readonly secret: Buffer;
}

/** Registers a consumer with its first key; `consumer-invalid` names every fault of both. */
export async function addConsumer(
  changes: Pick<ConsumerChanges, 'add' | 'addKey'>,
  vault: KeyVault,
  { name, roles, listed }: ConsumerDraft,
  now: number,
  draft: KeyDraft = {},
): Promise<IssuedKey> {
  refuseFaults('a consumer', [...consumerFaults(name, roles, listed), ...checkKeyDraft(draft, now)]);
  await changes.add({ name, roles, createdAt: now });
  return addKey(changes, vault, { name, roles }, now, draft);
}

/** Adds a key to a consumer; `consumer-invalid` names every fault of the draft. */
export async function addKey(
  changes: Pick<ConsumerChanges, 'addKey'>,
  vault: KeyVault,
  consumer: NewConsumer,
  now: number,
  draft: KeyDraft = {},
): Promise<IssuedKey> {
  refuseFaults('a key', checkKeyDraft(draft, now));
  const issued = issueKey(vault, consumer.name, draft, now);
  await changes.addKey(issued.key);
  return shown(issued, consumer.roles);
}

/** Makes a key with a new secret, 64 random bytes. The draft has been checked. */
export function issueKey(vault: KeyVault, consumer: string, draft: KeyDraft, now: number): NewKey {
  const secret = generateSecret();
  const keyid = generateKeyid(consumer);
  const { label, roleSubset, allow, certificateUri } = draft;
  const key = {
    keyid,
    consumer,
    sealedSecret: vault.seal('key', keyid, secret),
    createdAt: now,
    ...datesOf(draft, now),
    ...(label !== undefined && { label }),
    ...(roleSubset && { roleSubset: [...new Set(roleSubset)] }),
    ...(allow && { allow: [...new Set(allow)] }),
    ...(certificateUri !== undefined && { certificateUri }),
  };
  return { key, secret };
}

export interface Succession {
  /** Of the successor, which inherits label, role subset, addresses, certificate name and length of life. */
  readonly draft: KeyDraft;
  /** The old key's new end. */
  readonly previousNotAfter: number;
}

/**
 * What becomes of a key that is rotated.
 * @param overlap seconds for which the old key stays good: by default 24 hours, or less where it ends before that.
 * @throws `conflict` where the key can't be rotated (any more), `consumer-invalid` where the overlap is too long.
 */
export function successorOf(key: ConsumerKey, now: number, overlap?: number): Succession {
  refuseUnfit(key, now);
  if (overlap !== undefined) refuseFaults('an overlap', checkOverlap(key, now, overlap));
  const { label, roleSubset, allow, certificateUri, notBefore, notAfter } = key;
  const life = Math.min(notAfter - notBefore, MOST_KEY_LIFE);
  return {
    draft: { label, roleSubset, allow, certificateUri, notAfter: now + life },
    previousNotAfter: Math.min(now + (overlap ?? OVERLAP), notAfter),
  };
}

function refuseUnfit({ keyid, consumer, revokedAt, notAfter, successor }: ConsumerKey, now: number): void {
  const another = `make a new one: countersign key add ${consumer}`;
  const why =
    revokedAt !== undefined
      ? `was revoked; ${another}`
      : now >= notAfter
        ? `has expired; ${another}`
        : successor !== undefined
          ? `was rotated before: ${successor} took its place; rotate that one`
          : undefined;
  if (why) throw new CountersignError('conflict', `The key ${keyid} ${why}.`);
}

export interface RotateOptions {
  /** Seconds. */
  readonly overlap?: number | undefined;
  /** Of the successor, if it shall have another. */
  readonly label?: string | undefined;
  /** As the old key has it, where no operator vouches for the successor. Default: now. */
  readonly vouchedAt?: number;
}

export interface Rotation extends IssuedKey {
  /** Epoch seconds: the old key is refused from then on. */
  readonly previousValidUntil: number;
}

/** Puts a successor in a key's place; both are good for the overlap. Throws as `successorOf` does. */
export async function rotateKey(
  changes: Pick<ConsumerChanges, 'addKey' | 'updateKey'>,
  vault: KeyVault,
  old: { readonly consumer: NewConsumer; readonly key: ConsumerKey },
  now: number,
  { overlap, label, vouchedAt = now }: RotateOptions = {},
): Promise<Rotation> {
  const { draft, previousNotAfter } = successorOf(old.key, now, overlap);
  const wanted = label === undefined ? draft : { ...draft, label };
  refuseFaults('a key', checkKeyDraft(wanted, now));
  const issued = issueKey(vault, old.consumer.name, wanted, now);
  await changes.addKey({ ...issued.key, vouchedAt });
  await changes.updateKey(old.key.keyid, { notAfter: previousNotAfter, successor: issued.key.keyid });
  return { ...shown(issued, old.consumer.roles), previousValidUntil: previousNotAfter };
}

function shown({ key, secret }: NewKey, roles: readonly string[]): IssuedKey {
  const { consumer, keyid } = key;
  return { consumer, keyid, secret: secret.toString('base64'), roles: effectiveRoles(roles, key) };
}
