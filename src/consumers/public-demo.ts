/**
 * The public demo: a consumer whose credentials anybody may fetch, for a gateway that is on show. It may look around,
 * and changes nothing.
 * @module
 */
import type { AuditTrail } from '../audit/audit.ts';
import type { QuotaSetting } from '../config/config.ts';
import { CountersignError } from '../errors.ts';
import { generateSecret } from '../signatures/hmac.ts';
import { type ConsumerChanges, type ConsumerReader, generateKeyid, KEY_LIFE } from './consumer.ts';
import { DEMO_ROLES } from './demo.ts';
import type { KeyVault } from './key-vault.ts';

export const PUBLIC_DEMO = 'public-demo';

/** It has one from the first, which an entry under `quotas:` may replace. */
export const PUBLIC_DEMO_QUOTA: QuotaSetting = {
  consumer: PUBLIC_DEMO,
  perSecond: undefined,
  burst: undefined,
  perHour: 80,
  perDay: 80,
  by: ['key', 'address'],
};

export interface PublicDemoKey {
  readonly keyid: string;
  /** Base64. */
  readonly secret: string;
}

/** Which key is the public one: no other key of the consumer is ever published, whoever made it. */
export interface PublicDemoFacts {
  publicDemoKeyid(): string | undefined;
  rememberPublicDemo(keyid: string): void;
}

export interface PublicDemoParts {
  readonly consumers: ConsumerReader;
  readonly vault: KeyVault;
  readonly facts: PublicDemoFacts;
}

/** What a unit of work must offer. */
interface PublicDemoTransaction {
  readonly consumers: ConsumerReader & ConsumerChanges;
  readonly audit: AuditTrail;
}

/** The credentials as they are handed out; undefined where there are none that are good at this second. */
export function publicDemoKey(
  { consumers, vault, facts }: PublicDemoParts,
  now: number,
): PublicDemoKey | undefined {
  const keyid = facts.publicDemoKeyid();
  const found = keyid === undefined ? undefined : consumers.findKey(keyid);
  if (!found || found.consumer.disabledAt !== undefined) return undefined;
  const { key } = found;
  if (key.revokedAt !== undefined || now < key.notBefore || now >= key.notAfter) return undefined;
  return { keyid: key.keyid, secret: vault.open('key', key.keyid, key.sealedSecret).toString('base64') };
}

/** Whether its key has run out, as it does every 90 days. One that an operator revoked is let be until the next start. */
export function publicDemoExpired({ consumers, facts }: PublicDemoParts, now: number): boolean {
  const found = consumers.findKey(facts.publicDemoKeyid() ?? '');
  if (!found || found.consumer.disabledAt !== undefined) return false;
  return found.key.revokedAt === undefined && now >= found.key.notAfter;
}

/**
 * Makes the consumer where there is none, and a key where there is no good one. An operator who has disabled it is
 * not overruled. `consumer-exists` where somebody else's consumer bears the name.
 */
export async function makePublicDemo(
  tx: PublicDemoTransaction,
  { vault, facts }: PublicDemoParts,
  now: number,
): Promise<void> {
  const { consumers, audit } = tx;
  const keyid = facts.publicDemoKeyid();
  const consumer = consumers.find(PUBLIC_DEMO);
  if (consumer && keyid === undefined) {
    throw new CountersignError(
      'consumer-exists',
      `publicDemo makes a consumer "${PUBLIC_DEMO}", and there is another of that name; remove it, or leave publicDemo out.`,
    );
  }
  // Disabled by an operator, or made meanwhile by another start.
  if (consumer?.disabledAt !== undefined || publicDemoKey({ consumers, vault, facts }, now)) return;
  if (!consumer) await consumers.add({ name: PUBLIC_DEMO, roles: DEMO_ROLES, createdAt: now });
  const next = generateKeyid(PUBLIC_DEMO);
  await consumers.addKey({
    keyid: next,
    consumer: PUBLIC_DEMO,
    sealedSecret: vault.seal('key', next, generateSecret()),
    createdAt: now,
    notBefore: now,
    notAfter: now + KEY_LIFE,
    label: 'public',
    // Whatever roles somebody gives the consumer by mistake.
    roleSubset: DEMO_ROLES,
  });
  facts.rememberPublicDemo(next);
  await audit.append({
    actor: 'gateway',
    action: 'key.issue',
    subject: PUBLIC_DEMO,
    detail: { keyid: next },
  });
}

/** Ends the key of an earlier start: what is not offered any more is not good any more. */
export async function endPublicDemo(
  tx: PublicDemoTransaction,
  parts: PublicDemoParts,
  now: number,
): Promise<void> {
  const key = publicDemoKey({ ...parts, consumers: tx.consumers }, now);
  if (!key) return;
  await tx.consumers.revokeKey(key.keyid, now);
  const { keyid } = key;
  await tx.audit.append({ actor: 'gateway', action: 'key.revoke', subject: PUBLIC_DEMO, detail: { keyid } });
}
