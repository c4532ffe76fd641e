/** What a SQLite transaction is made of, on a bare database, under keys that nobody keeps. */
import { randomBytes } from 'node:crypto';
import { KeyVault } from '../../src/consumers/key-vault.ts';
import { SqliteAccounts } from '../../src/storage/sqlite/accounts.ts';
import { SqliteAudit } from '../../src/storage/sqlite/audit.ts';
import { SqliteConsumers } from '../../src/storage/sqlite/consumers.ts';
import type { Database } from '../../src/storage/sqlite/database.ts';
import { SqliteDeniedCertificates } from '../../src/storage/sqlite/denied-certificates.ts';
import { SqliteDocuments } from '../../src/storage/sqlite/documents.ts';
import { SqliteOutbox } from '../../src/storage/sqlite/outbox.ts';
import { SqliteQuotas } from '../../src/storage/sqlite/quotas.ts';
import { SqliteRecords } from '../../src/storage/sqlite/records.ts';
import type { TransactionParts } from '../../src/storage/sqlite/transaction.ts';
import { ManualClock } from './manual-clock.ts';

export function transactionParts(database: Database): Omit<TransactionParts, 'nonces'> {
  const clock = new ManualClock(1_800_000_000);
  const vault = new KeyVault(new Map([[1, randomBytes(32)]]));
  return {
    consumers: new SqliteConsumers(database),
    accounts: new SqliteAccounts(database, vault),
    deniedCertificates: new SqliteDeniedCertificates(database),
    records: new SqliteRecords(database),
    audit: new SqliteAudit(database, new Map([[1, randomBytes(32)]]), clock),
    quotas: new SqliteQuotas(database, clock),
    state: new SqliteDocuments(database),
    outbox: new SqliteOutbox(database, vault, () => {}),
  };
}
