/**
 * Rows of consumers, keys and grants, and what they stand for.
 * @module
 */
import type { Consumer, ConsumerKey, KeyTerm, RoleGrant } from '../../consumers/consumer.ts';

export interface ConsumerRow {
  readonly id: string;
  readonly name: string;
  readonly roles: string;
  readonly created_at: number;
  readonly disabled_at: number | null;
  readonly version: number;
}

export interface KeyRow {
  readonly keyid: string;
  readonly consumer: string;
  readonly sealed_secret: Buffer;
  readonly created_at: number;
  readonly not_before: number;
  readonly not_after: number;
  readonly revoked_at: number | null;
  readonly label: string | null;
  readonly role_subset: string | null;
  readonly allow: string | null;
  readonly certificate_uri: string | null;
  readonly vouched_at: number;
  readonly successor: string | null;
}

export interface TermRow {
  readonly keyid: string;
  readonly consumer: string;
  readonly not_after: number;
  readonly superseded_at: number | null;
  readonly last_used: number | null;
}

export interface GrantRow {
  readonly id: string;
  readonly consumer: string;
  readonly role: string;
  readonly status: RoleGrant['status'];
  readonly requested_at: number;
  readonly decided_at: number | null;
}

export function readConsumer(row: ConsumerRow): Consumer {
  const { id, name, version, disabled_at: disabledAt } = row;
  const roles = JSON.parse(row.roles) as string[];
  return { id, name, roles, createdAt: row.created_at, version, ...(disabledAt !== null && { disabledAt }) };
}

export function readKey(row: KeyRow): ConsumerKey {
  const { keyid, consumer, label, allow, successor, revoked_at: revokedAt, role_subset: roleSubset } = row;
  const certificateUri = row.certificate_uri;
  return {
    keyid,
    consumer,
    sealedSecret: row.sealed_secret,
    createdAt: row.created_at,
    notBefore: row.not_before,
    notAfter: row.not_after,
    vouchedAt: row.vouched_at,
    ...(revokedAt !== null && { revokedAt }),
    ...(label !== null && { label }),
    ...(roleSubset !== null && { roleSubset: JSON.parse(roleSubset) as string[] }),
    ...(allow !== null && { allow: JSON.parse(allow) as string[] }),
    ...(certificateUri !== null && { certificateUri }),
    ...(successor !== null && { successor }),
  };
}

export function readTerm({
  not_after: notAfter,
  superseded_at: at,
  last_used: used,
  ...row
}: TermRow): KeyTerm {
  return {
    ...row,
    notAfter,
    ...(at !== null && { supersededAt: at }),
    ...(used !== null && { lastUsed: used }),
  };
}

export function readGrant({
  requested_at: requestedAt,
  decided_at: decidedAt,
  ...grant
}: GrantRow): RoleGrant {
  return { ...grant, requestedAt, ...(decidedAt !== null && { decidedAt }) };
}
