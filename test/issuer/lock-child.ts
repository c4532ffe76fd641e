/**
 * A process that takes a lock, says so, and keeps it until it is ended.
 * @module
 */
import { Lock } from '../../src/issuer/lock.ts';

const [, , folder = ''] = process.argv;
await Lock.acquire(folder, 0);
process.send?.('held');
setInterval(() => {}, 60_000);
