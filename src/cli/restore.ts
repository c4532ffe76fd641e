/**
 * `countersign restore DIR`: puts a backup into the data folder, while no gateway runs on it.
 * @module
 */
import type { Command } from 'commander';
import { systemClock } from '../clock.ts';
import { masterKeyFile } from '../consumers/master-key.ts';
import { restore as restoreBackup } from '../storage/sqlite/restore.ts';
import { type CommonOptions, command, configOf, print, printJson, progressOf } from './command.ts';

interface RestoreOptions extends CommonOptions {
  readonly force?: true;
}

export function restore(): Command {
  return command('restore', 'put a backup into the data folder; no gateway may run on it')
    .argument('<folder>', 'what countersign backup has made')
    .option('--force', 'replace the database that is there, for good')
    .action(putBack);
}

async function putBack(source: string, options: RestoreOptions): Promise<void> {
  const { data, masterKey: givenKey } = configOf(options);
  const restored = await restoreBackup({
    source,
    folder: data,
    force: options.force ?? false,
    givenKey,
    now: systemClock.now(),
    onProgress: options.json ? undefined : progressOf(),
  });
  const { madeAt, schemaVersion, masterKey, replacedKey } = restored;
  const warnings = [
    `Keys, consumers, roles and passwords are as they were ${madeAt ?? 'when the backup was made'}: what was revoked, disabled or taken since then is good again. Revoke it again before you start.`,
  ];
  if (masterKey === undefined) {
    warnings.push(
      `There is no master key yet: put it into ${masterKeyFile(data)} (mode 600), or set COUNTERSIGN_MASTER_KEY.`,
    );
  }
  if (replacedKey !== undefined) warnings.push(`The master key that was there is in ${replacedKey} now.`);
  if (options.json) {
    printJson({ folder: data, madeAt, schemaVersion, masterKey, replacedKey, warnings });
    return;
  }
  print(`Restored ${source} to ${data}, checked. The first start refuses messages from before it.`);
  for (const warning of warnings) process.stderr.write(`${warning}\n`);
}
