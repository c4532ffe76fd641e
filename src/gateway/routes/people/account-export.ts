/**
 * Everything that is kept about a person, gathered from where it is kept.
 * @module
 */
import type { Account } from '../../../accounts/account.ts';
import { withoutTicket } from '../../../accounts/letters.ts';
import type { ConsumerKey } from '../../../consumers/consumer.ts';
import { grantBody } from '../management/grants.ts';
import { isoTime, isoTimeOrNull } from '../management/schemas.ts';
import { factorState, personOf } from './account-item.ts';
import type { AccountParts } from './account-parts.ts';

const MOST_AUDIT_ROWS = 1000;

type Sources = Pick<AccountParts, 'accounts' | 'consumers' | 'audit' | 'done' | 'files' | 'tickets'>;

export async function exportOf(sources: Sources, account: Account) {
  const { accounts, consumers, audit, done, files, tickets } = sources;
  const { id, consumer: name } = account;
  const consumer = name === undefined ? undefined : consumers.find(name);
  const keys = consumer ? consumers.keysOf(consumer.name) : [];
  const ids = consumer ? [id, consumer.id] : [id];
  const about = [...ids, ...(consumer ? [consumer.name] : []), ...keys.map(({ keyid }) => keyid)];
  const counts = await Promise.all(ids.map((each) => done.countOf(each)));
  const codes = await accounts.recoveryCodes(id);
  const sessions = await accounts.sessions.of(id);
  const refreshTokens = await accounts.refreshTokens.of(id);
  const mail = [...(await files.kept(tickets.addressTag(account.email))), ...(await files.kept(id))];
  return {
    ...personOf(account),
    secondFactor: {
      state: factorState(await accounts.secondFactor(id)),
      recoveryCodesLeft: codes.filter(({ usedAt }) => usedAt === undefined).length,
    },
    keys: keys.map((key) => keyOf(consumers, key)),
    sessions: sessions.map(({ createdAt, expiresAt }) => ({
      createdAt: isoTime(createdAt),
      expires: isoTime(expiresAt),
    })),
    refreshTokens: refreshTokens.map(({ expiresAt, usedAt, roles }) => ({
      expires: isoTime(expiresAt),
      usedAt: isoTimeOrNull(usedAt),
      roles: roles ?? null,
    })),
    grants: consumer ? consumers.grants({ consumer: consumer.name }).map(grantBody) : [],
    records: counts.reduce((sum, count) => sum + count, 0),
    audit: [...audit.rows({ about, newest: MOST_AUDIT_ROWS })].map((row) => ({
      at: isoTime(row.at),
      actor: row.actor,
      action: row.action,
      subject: row.subject,
      detail: row.detail === undefined ? null : (JSON.parse(row.detail) as unknown),
    })),
    mail: mail.map(({ content, ...rest }) => ({ ...rest, content: withoutTicket(content) })),
  };
}

function keyOf(consumers: AccountParts['consumers'], key: ConsumerKey) {
  const { keyid, label, createdAt, notBefore, notAfter, revokedAt } = key;
  const usage = consumers.usageOf(keyid);
  return {
    keyid,
    label: label ?? null,
    createdAt: isoTime(createdAt),
    notBefore: isoTime(notBefore),
    expires: isoTime(notAfter),
    revokedAt: isoTimeOrNull(revokedAt),
    lastUsed: isoTimeOrNull(usage?.lastUsed),
    calls: usage?.calls ?? 0,
  };
}
