/**
 * `countersign key rekey`: moves to a new master key, while gateways go on.
 * @module
 */
import type { Command } from 'commander';
import { generateMasterKey, masterKeyFile, readMasterKeyFile } from '../consumers/master-key.ts';
import { CountersignError } from '../errors.ts';
import { type CommonOptions, command, configOf, print, printJson, withStore } from './command.ts';

interface RekeyOptions extends CommonOptions {
  readonly new?: string;
}

export function rekey(): Command {
  return command('rekey', 'wrap all keys by a new master key; a running gateway goes on')
    .option('--new <file>', 'the new master key: 32 bytes in base64, such as "openssl rand -base64 32" makes')
    .action(run);
}

async function run(options: RekeyOptions): Promise<void> {
  const { data, masterKey } = configOf(options);
  const fromEnvironment = masterKey !== undefined;
  if (fromEnvironment && options.new === undefined) {
    throw new CountersignError(
      'master-key-missing',
      'The master key comes from COUNTERSIGN_MASTER_KEY, so that only you can change it there. Name the file that holds the new one: --new FILE. Nothing was changed.',
    );
  }
  const next = options.new === undefined ? generateMasterKey() : readMasterKeyFile(options.new);
  await withStore(options, (store) => store.changeMasterKey(next, 'cli'));
  const file = fromEnvironment ? (options.new as string) : masterKeyFile(data);
  if (options.json) {
    printJson({ file, environment: fromEnvironment });
  } else if (fromEnvironment) {
    print(
      `The keys are wrapped by the key in ${file}. Put it where COUNTERSIGN_MASTER_KEY (or _FILE) is set before the next start`,
    );
    print('of any gateway or command: the old one opens nothing any more. Gateways that run go on.');
  } else {
    print(`The keys are wrapped by a new master key, which is in ${file}. Gateways that run go on.`);
    print('A backup from before needs the old one: keep it with the backup, or make a new backup now.');
  }
}
