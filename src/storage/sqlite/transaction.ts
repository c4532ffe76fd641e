/**
 * What work gets to see of its turn's transaction, and how long it may take.
 * @module
 */
import type { Transaction } from '../unit-of-work.ts';
import type { SqliteConsumerChanges } from './consumers.ts';
import type { SqliteNonces } from './nonces.ts';

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
  { nonces, consumers }: { readonly nonces: SqliteNonces; readonly consumers: SqliteConsumerChanges },
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
      add: during((consumer) => consumers.add(consumer)),
      addKey: during((key) => consumers.addKey(key)),
      disable: during((consumer, at) => consumers.disable(consumer, at)),
      revokeKey: during((keyid, at) => consumers.revokeKey(keyid, at)),
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
