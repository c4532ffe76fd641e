/**
 * Secrets at rest: a data key wrapped by the master key, and blobs sealed under keys derived from it, so that a new
 * master key re-wraps one row and rewrites nothing else.
 * @module
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { CountersignError } from '../errors.ts';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
const NO_SALT = Buffer.alloc(0);

/** Layout of a blob: key version (4 bytes), nonce (12), ciphertext, tag (16). */
const HEADER_BYTES = 4 + NONCE_BYTES;

/** What a blob is for: a blob sealed for one purpose opens for no other. */
export type Purpose =
  | 'data-key'
  | 'audit-key'
  | 'key'
  | 'result'
  | 'outbox'
  | 'person'
  | 'totp'
  | 'refresh'
  | 'signing-key';

/** A random key under the master key; a new master key wraps it anew and changes nothing below it. */
export interface WrappedKey {
  readonly version: number;
  readonly wrapped: Buffer;
}

/** What a key is derived for beside sealing: each purpose has one of its own. */
export type DerivedPurpose = 'ticket' | 'csrf' | 'owner' | 'email' | 'fingerprint' | 'login';

type WrappedPurpose = 'data-key' | 'audit-key';

/** A new random key, wrapped. */
export function wrapNewKey(masterKey: Buffer, purpose: WrappedPurpose, version: number): WrappedKey {
  return wrapKey(masterKey, purpose, version, randomBytes(KEY_BYTES));
}

export function wrapKey(
  masterKey: Buffer,
  purpose: WrappedPurpose,
  version: number,
  key: Buffer,
): WrappedKey {
  return { version, wrapped: seal(masterKey, version, purpose, String(version), key) };
}

/** `master-key-wrong` where the master key is another one than the keys were wrapped by. */
export function unwrapKeys(
  masterKey: Buffer,
  purpose: WrappedPurpose,
  wrapped: readonly WrappedKey[],
): ReadonlyMap<number, Buffer> {
  const keys = new Map<number, Buffer>();
  for (const each of wrapped) {
    try {
      keys.set(each.version, unseal(masterKey, purpose, String(each.version), each.wrapped));
    } catch (error) {
      throw new CountersignError(
        'master-key-wrong',
        'The master key is not the one that this data folder was made with. Put the right one back; nothing was changed.',
        { cause: error },
      );
    }
  }
  return keys;
}

export class KeyVault {
  private readonly dataKeys: ReadonlyMap<number, Buffer>;
  private readonly current: number;

  /** @param dataKeys by version; the highest seals. */
  constructor(dataKeys: ReadonlyMap<number, Buffer>) {
    this.dataKeys = dataKeys;
    this.current = Math.max(...dataKeys.keys());
  }

  seal(purpose: Purpose, recordId: string, secret: Uint8Array): Buffer {
    return seal(this.dataKeys.get(this.current) as Buffer, this.current, purpose, recordId, secret);
  }

  /** `store-failed` where the blob was sealed for another use, or isn't as it was sealed. */
  open(purpose: Purpose, recordId: string, blob: Buffer): Buffer {
    try {
      const version = blob.readUInt32BE(0);
      const key = this.dataKeys.get(version);
      if (!key) throw new Error(`there is no data key ${version}`);
      return unseal(key, purpose, recordId, blob);
    } catch (error) {
      throw new CountersignError(
        'store-failed',
        `What is sealed as ${purpose} ${recordId} doesn't open: it was changed, or belongs elsewhere. Restore it from a backup.`,
        { cause: error },
      );
    }
  }

  /**
   * A key of 32 bytes for HMAC, the same in every process on the store. It comes from the oldest data key, so that it
   * stays when a newer one seals; nothing that was sealed is opened by it.
   */
  derivedKey(purpose: DerivedPurpose): Buffer {
    const oldest = this.dataKeys.get(Math.min(...this.dataKeys.keys())) as Buffer;
    return Buffer.from(hkdfSync('sha256', oldest, NO_SALT, `countersign-derived ${purpose}`, KEY_BYTES));
  }
}

function seal(key: Buffer, version: number, purpose: Purpose, recordId: string, secret: Uint8Array): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(version, 0);
  const nonce = randomBytes(NONCE_BYTES);
  nonce.copy(header, 4);
  const cipher = createCipheriv('aes-256-gcm', derive(key, purpose, recordId), nonce);
  cipher.setAAD(associatedData(purpose, recordId, version));
  return Buffer.concat([header, cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
}

function unseal(key: Buffer, purpose: Purpose, recordId: string, blob: Buffer): Buffer {
  const decipher = createDecipheriv(
    'aes-256-gcm',
    derive(key, purpose, recordId),
    blob.subarray(4, HEADER_BYTES),
    // Or node would take a tag of 4 bytes, from a blob that was cut short.
    { authTagLength: TAG_BYTES },
  );
  decipher.setAAD(associatedData(purpose, recordId, blob.readUInt32BE(0)));
  decipher.setAuthTag(blob.subarray(blob.length - TAG_BYTES));
  return Buffer.concat([
    decipher.update(blob.subarray(HEADER_BYTES, blob.length - TAG_BYTES)),
    decipher.final(),
  ]);
}

function derive(key: Buffer, purpose: Purpose, recordId: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, NO_SALT, `countersign ${purpose} ${recordId}`, KEY_BYTES));
}

function associatedData(purpose: Purpose, recordId: string, version: number): Buffer {
  return Buffer.from(JSON.stringify([purpose, recordId, version]));
}
