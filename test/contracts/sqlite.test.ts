/** SQLite, the default, keeps the contracts of all its ports. */
import { SqliteStore } from '../../src/storage/sqlite/store.ts';
import { dataFolder } from '../storage/data-folder.ts';
import { accountStoreContract } from './account-store.ts';
import { commitGroupContract } from './commit-group.ts';
import { consumerStoreContract } from './consumer-store.ts';
import { deniedCertificatesContract } from './denied-certificates.ts';
import { nonceStoreContract } from './nonce-store.ts';
import { quotaStoreContract } from './quota-store.ts';
import type { Place } from './store.ts';

function makePlace(): Place {
  const folder = dataFolder();
  return { open: (settings) => new SqliteStore({ folder, masterKey: undefined, ...settings }) };
}

nonceStoreContract('SQLite', makePlace);
commitGroupContract('SQLite', makePlace);
consumerStoreContract('SQLite', makePlace);
quotaStoreContract('SQLite', makePlace);
deniedCertificatesContract('SQLite', makePlace);
accountStoreContract('SQLite', makePlace);
