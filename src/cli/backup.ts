/**
 * `countersign backup DIR`: a consistent copy of the data folder, also while a gateway runs on it.
 * @module
 */
import type { Command } from 'commander';
import { systemClock } from '../clock.ts';
import { loadMasterKey } from '../consumers/master-key.ts';
import { backUp } from '../storage/sqlite/backup.ts';
import { type CommonOptions, command, configOf, print, printJson, progressOf } from './command.ts';

interface BackupOptions extends CommonOptions {
  readonly withMasterKey?: true;
}

const WITH_KEY =
  'This backup holds the master key: whoever reads it has the secret of every consumer. Keep it as you keep them.';
const WITHOUT_KEY =
  'The master key is not in this backup, and without it no secret in it can be opened: keep a copy of it elsewhere.';

export function backup(): Command {
  return command('backup', 'copy the data folder to a new folder, while a gateway runs or not')
    .argument('<folder>', 'a folder to make, or an empty one')
    .option('--with-master-key', 'put the master key into the backup too: all secrets in one place')
    .action(make);
}

async function make(target: string, options: BackupOptions): Promise<void> {
  const { data, masterKey: given } = configOf(options);
  const masterKey = options.withMasterKey
    ? loadMasterKey({ folder: data, given, databaseExists: true })
    : undefined;
  const { bytes, schemaVersion } = await backUp({
    folder: data,
    target,
    masterKey,
    now: systemClock.now(),
    onProgress: options.json ? undefined : progressOf(),
  });
  const warning = masterKey ? WITH_KEY : WITHOUT_KEY;
  if (options.json) {
    printJson({ folder: target, bytes, schemaVersion, masterKey: masterKey !== undefined, warning });
    return;
  }
  print(`Backed up ${data} to ${target}: ${bytes} bytes, checked.`);
  process.stderr.write(`${masterKey ? 'WARNING: ' : ''}${warning}\n`);
}
