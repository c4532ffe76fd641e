/**
 * Runs in a process of its own: changes the master key of a folder, and dies at the step that it is told.
 * @module
 */
import { generateMasterKey } from '../../../src/consumers/master-key.ts';
import { SqliteStore } from '../../../src/storage/sqlite/store.ts';
import { ManualClock } from '../manual-clock.ts';

const [folder = '', last = ''] = process.argv.slice(2);
const store = new SqliteStore({ folder, clock: new ManualClock(), skew: 30, masterKey: undefined });
await store.changeMasterKey(generateMasterKey(), 'cli', (step) => {
  if (step === last) process.kill(process.pid, 'SIGKILL');
});
