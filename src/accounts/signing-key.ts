/**
 * The keys that sign access tokens: Ed25519, one after the other. The next one is published a day before it signs, and
 * the last one verifies until the last token that it signed has ended, so that nobody who fetches the key set now and
 * then meets an unknown key.
 * @module
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import { type Clock, epochSeconds } from '../clock.ts';
import type { KeyVault } from '../consumers/key-vault.ts';
import type { UnitOfWork } from '../idempotency/run.ts';
import { ACCESS_LIFE } from './access-token.ts';
import type { AccountChanges, AccountReader } from './account.ts';
import type { SigningKey } from './token-store.ts';

const DAY = 24 * 3600;
/** Seconds for which a key signs. */
const SIGNS_FOR = 30 * DAY;
/** Seconds before the end of one key at which the next is there. */
const PUBLISHED_BEFORE = DAY;
const MOST_KEPT = 8;

export interface SigningKeysParts {
  readonly clock: Clock;
  readonly vault: Pick<KeyVault, 'seal' | 'open'>;
  readonly accounts: Pick<AccountReader, 'signingKeys'>;
  readonly commitGroup: UnitOfWork<{ readonly accounts: AccountReader & AccountChanges }>;
  /** Seconds by which clocks may differ. */
  readonly skew: number;
}

export class SigningKeys {
  private readonly parts: SigningKeysParts;
  // A key never changes, it only comes and goes: by kid.
  private readonly signing = new Map<string, KeyObject>();
  private readonly verifying = new Map<string, KeyObject>();

  constructor(parts: SigningKeysParts) {
    this.parts = parts;
  }

  /** The key that signs now. Makes it where there is none, and the next one in time. */
  async current(): Promise<{ readonly kid: string; readonly key: KeyObject }> {
    const now = epochSeconds(this.parts.clock);
    const keys = await this.withNext();
    // Of two that two processes made for the same time, all take the same one.
    const [signing] = keys
      .filter(({ signsUntil }) => signsUntil > now)
      .sort((a, b) => a.signsUntil - b.signsUntil || (a.kid < b.kid ? -1 : 1));
    const { kid, sealedKey } = signing as SigningKey;
    return { kid, key: this.privateKey(kid, sealedKey) };
  }

  /** The public key of that name, while what it signed counts; undefined for any other. */
  async find(kid: string): Promise<KeyObject | undefined> {
    const keys = await this.parts.accounts.signingKeys.list();
    const found = this.standing(keys).find((key) => key.kid === kid);
    return found && this.publicKey(found);
  }

  /** The key set (RFC 7517 section 5): every key that verifies now, or will. Makes the next one in time, too. */
  async published(): Promise<{ readonly keys: readonly Readonly<Record<string, unknown>>[] }> {
    const keys = await this.withNext();
    return {
      keys: this.standing(keys).map(({ kid, publicKey }) => ({
        ...publicKey,
        kid,
        use: 'sig',
        alg: 'EdDSA',
      })),
    };
  }

  private standing(keys: readonly SigningKey[]): SigningKey[] {
    const now = epochSeconds(this.parts.clock);
    return keys.filter(({ verifiesUntil }) => verifiesUntil > now);
  }

  private async withNext(): Promise<SigningKey[]> {
    const keys = await this.parts.accounts.signingKeys.list();
    return lastEnd(keys) - epochSeconds(this.parts.clock) < PUBLISHED_BEFORE ? this.addNext() : keys;
  }

  /** Makes the next key, unless another process has. @returns all that there are. */
  private async addNext(): Promise<SigningKey[]> {
    const { clock, vault, commitGroup, skew } = this.parts;
    const now = epochSeconds(clock);
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const { kty, crv, x } = publicKey.export({ format: 'jwk' });
    const jwk = { kty, crv, x };
    const kid = await calculateJwkThumbprint({ kty: 'OKP', crv: 'Ed25519', x: x as string });
    const sealedKey = vault.seal('signing-key', kid, privateKey.export({ type: 'pkcs8', format: 'der' }));
    return commitGroup.run('add a signing key', async ({ accounts }) => {
      const known = await accounts.signingKeys.list();
      if (lastEnd(known) - now >= PUBLISHED_BEFORE) return known;
      const signsUntil = Math.max(lastEnd(known), now) + SIGNS_FOR;
      const key = {
        kid,
        sealedKey,
        publicKey: jwk,
        createdAt: now,
        signsUntil,
        verifiesUntil: signsUntil + ACCESS_LIFE + skew,
      };
      await accounts.signingKeys.add(key);
      return [...known, key];
    });
  }

  private privateKey(kid: string, sealedKey: Buffer): KeyObject {
    return kept(this.signing, kid, () => {
      const der = this.parts.vault.open('signing-key', kid, sealedKey);
      return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    });
  }

  private publicKey({ kid, publicKey }: SigningKey): KeyObject {
    return kept(this.verifying, kid, () => createPublicKey({ key: publicKey, format: 'jwk' }));
  }
}

/** There are two keys at a time, or three; those that have gone aren't held for ever. */
function kept(keys: Map<string, KeyObject>, kid: string, make: () => KeyObject): KeyObject {
  const known = keys.get(kid);
  if (known) return known;
  const made = make();
  if (keys.size >= MOST_KEPT) keys.clear();
  keys.set(kid, made);
  return made;
}

/** Until when there is a key to sign with. */
function lastEnd(keys: readonly SigningKey[]): number {
  return keys.reduce((end, { signsUntil }) => Math.max(end, signsUntil), 0);
}
