/**
 * What work gets to see of its turn's transaction, and how long it may take.
 * @module
 */
import type { Transaction } from '../unit-of-work.ts';
import type { SqliteAccounts } from './accounts.ts';
import type { SqliteAudit } from './audit.ts';
import type { SqliteConsumers } from './consumers.ts';
import type { SqliteDeniedCertificates } from './denied-certificates.ts';
import type { SqliteDocuments } from './documents.ts';
import type { SqliteNonces } from './nonces.ts';
import type { SqliteOutbox } from './outbox.ts';
import type { SqliteQuotas } from './quotas.ts';
import type { SqliteRecords } from './records.ts';

/** What a transaction is made of. */
export interface TransactionParts {
  readonly nonces: SqliteNonces;
  readonly consumers: SqliteConsumers;
  readonly accounts: SqliteAccounts;
  readonly deniedCertificates: SqliteDeniedCertificates;
  readonly records: SqliteRecords;
  readonly audit: SqliteAudit;
  readonly quotas: SqliteQuotas;
  readonly state: SqliteDocuments;
  readonly outbox: SqliteOutbox;
}

/** Of one transaction, as the work that holds it may use it. */
export interface Life {
  over: boolean;
  storeFailure: Error | undefined;
}

/**
 * A transaction for one piece of work. Each call is checked, not only the way to it: work may have taken tx apart,
 * and would write outside its savepoint.
 */
export function transactionOf(
  name: string,
  {
    nonces,
    consumers,
    accounts,
    deniedCertificates,
    records,
    audit,
    quotas,
    state,
    outbox,
  }: TransactionParts,
  life: Life,
): Transaction {
  const during =
    <Given extends unknown[], Result>(call: (...given: Given) => Result) =>
    (...given: Given): Result => {
      if (life.over) throw new Error(`"${name}" used its transaction after it had ended`);
      // SQLite may have rolled the transaction back, and would commit what follows by itself.
      if (life.storeFailure) throw life.storeFailure;
      try {
        return call(...given);
      } catch (error) {
        if (isStoreFailure(error)) life.storeFailure = error;
        throw error;
      }
    };
  return {
    nonces: { claim: during((nonce) => nonces.claim(nonce)) },
    consumers: {
      findKey: during((keyid) => consumers.findKey(keyid)),
      find: during((name) => consumers.find(name)),
      list: during((page) => consumers.list(page)),
      keysOf: during((name) => consumers.keysOf(name)),
      usageOf: during((keyid) => consumers.usageOf(keyid)),
      standingKeys: during((now) => consumers.standingKeys(now)),
      findGrant: during((id) => consumers.findGrant(id)),
      grants: during((filter) => consumers.grants(filter)),
      add: during((consumer) => consumers.add(consumer)),
      update: during((name, change) => consumers.update(name, change)),
      remove: during((name) => consumers.remove(name)),
      addKey: during((key) => consumers.addKey(key)),
      updateKey: during((keyid, change) => consumers.updateKey(keyid, change)),
      disable: during((name, at) => consumers.disable(name, at)),
      revokeKey: during((keyid, at) => consumers.revokeKey(keyid, at)),
      putGrant: during((grant) => consumers.putGrant(grant)),
      addUsage: during((keyid, usage) => consumers.addUsage(keyid, usage)),
    },
    accounts: {
      find: during((id) => accounts.find(id)),
      findByEmail: during((email) => accounts.findByEmail(email)),
      findByConsumer: during((name) => accounts.findByConsumer(name)),
      list: during((page) => accounts.list(page)),
      secondFactor: during((id) => accounts.secondFactor(id)),
      recoveryCodes: during((id) => accounts.recoveryCodes(id)),
      add: during((account) => accounts.add(account)),
      update: during((id, change) => accounts.update(id, change)),
      raiseGeneration: during((id) => accounts.raiseGeneration(id)),
      remove: during((id) => accounts.remove(id)),
      putSecondFactor: during((factor) => accounts.putSecondFactor(factor)),
      confirmSecondFactor: during((id, at, step) => accounts.confirmSecondFactor(id, at, step)),
      useStep: during((id, step) => accounts.useStep(id, step)),
      removeSecondFactor: during((id) => accounts.removeSecondFactor(id)),
      putRecoveryCodes: during((id, hashes) => accounts.putRecoveryCodes(id, hashes)),
      useRecoveryCode: during((id, hash, at) => accounts.useRecoveryCode(id, hash, at)),
      useTicket: during((id, keptUntil) => accounts.useTicket(id, keptUntil)),
      refreshTokens: {
        find: during((hash) => accounts.refreshTokens.find(hash)),
        of: during((id) => accounts.refreshTokens.of(id)),
        hasFamily: during((family) => accounts.refreshTokens.hasFamily(family)),
        add: during((token) => accounts.refreshTokens.add(token)),
        use: during((hash, at, answer) => accounts.refreshTokens.use(hash, at, answer)),
        endFamily: during((family) => accounts.refreshTokens.endFamily(family)),
        endAll: during((id) => accounts.refreshTokens.endAll(id)),
      },
      sessions: {
        find: during((hash) => accounts.sessions.find(hash)),
        of: during((id) => accounts.sessions.of(id)),
        add: during((session) => accounts.sessions.add(session)),
        end: during((hash) => accounts.sessions.end(hash)),
        endAll: during((id) => accounts.sessions.endAll(id)),
      },
      signingKeys: {
        list: during(() => accounts.signingKeys.list()),
        add: during((key) => accounts.signingKeys.add(key)),
      },
    },
    deniedCertificates: { deny: during((certificate) => deniedCertificates.deny(certificate)) },
    records: {
      find: during((id) => records.find(id)),
      put: during((id, record) => records.put(id, record)),
      remove: during((id) => records.remove(id)),
      forget: during((person) => records.forget(person)),
    },
    audit: { append: during((event) => audit.append(event)) },
    quotas: {
      charge: during((charged) => quotas.charge(charged)),
      forget: during((subject) => quotas.forget(subject)),
    },
    state: {
      get: during((collection, id) => state.get(collection, id)),
      put: during((collection, id, value) => state.put(collection, id, value)),
      delete: during((collection, id) => state.delete(collection, id)),
    },
    outbox: {
      add: during((message) => outbox.add(message)),
      forget: during((subject) => outbox.forget(subject)),
    },
  };
}

/** Settles with the work, or rejects at the next turn of the event loop: whatever awaits more than `tx` is named. */
export function beforeNextTurn<T>(name: string, work: T | Promise<T>): T | Promise<T> {
  if (typeof (work as Partial<PromiseLike<T>> | undefined)?.then !== 'function') return work;
  return new Promise((resolve, reject) => {
    const deadline = setImmediate(() => {
      reject(new Error(`"${name}" awaited something other than its transaction, and was rolled back`));
    });
    Promise.resolve(work)
      .then(resolve, reject)
      .finally(() => clearImmediate(deadline));
  });
}

/** SQLite's own errors bear a code of this form; a constraint that the work broke is the work's. */
export function isStoreFailure(error: unknown): error is Error {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' && code.startsWith('SQLITE_') && !code.startsWith('SQLITE_CONSTRAINT');
}
