/**
 * `countersign ca deny`: make a client certificate count for nothing, before it ends by itself. In force within a
 * second in every gateway on the data folder, whose connections with it are closed.
 * @module
 */
import { type Command, InvalidArgumentError } from 'commander';
import { epochSeconds, systemClock } from '../../clock.ts';
import { serialOf } from '../../consumers/denied-certificates.ts';
import { CountersignError } from '../../errors.ts';
import { databaseExists } from '../../storage/sqlite/database.ts';
import { type CommonOptions, command, configOf, print, printJson, withStore } from '../command.ts';
import { isoTime, parseTime, TIME_FORMS } from '../time.ts';

/** Seconds. Leaves live 12 hours; the rest of the week is for clocks that are wrong. */
const KEPT = 7 * 24 * 3600;

interface DenyOptions extends CommonOptions {
  /** Epoch seconds. */
  readonly until?: number;
}

export function deny(): Command {
  return command('deny', 'make a client certificate count for nothing from now on')
    .argument('<serial>', 'its serial number in hex, as "openssl x509 -serial" shows it', parseSerial)
    .option(
      '--until <time>',
      `when it has ended by itself, and the denial is forgotten (in 7 days): ${TIME_FORMS}`,
      parseUntil,
    )
    .action(run);
}

function parseSerial(text: string): string {
  const serial = serialOf(text.replace(/^serial=/i, ''));
  if (serial === undefined)
    throw new InvalidArgumentError('Write the serial number in hex: 3FA4… or 3F:A4:…');
  return serial;
}

function parseUntil(text: string): number {
  const until = parseTime(text);
  if (until > epochSeconds(systemClock)) return until;
  throw new InvalidArgumentError('It lies in the past: nothing would be denied.');
}

/** `store-failed` where there is no database: in one that is made for it, a denial would reach no gateway. */
async function run(serial: string, options: DenyOptions): Promise<void> {
  const { data } = configOf(options);
  if (!databaseExists(data)) {
    throw new CountersignError(
      'store-failed',
      `There is no database in ${data}; name the data folder of the gateway with --data.`,
    );
  }
  const deniedAt = epochSeconds(systemClock);
  const { until: keptUntil = deniedAt + KEPT } = options;
  await withStore(options, (store) =>
    store.commitGroup.run('deny a certificate', async (tx) => {
      await tx.deniedCertificates.deny({ serial, deniedAt, keptUntil });
      const detail = { keptUntil };
      await tx.audit.append({ actor: 'cli', action: 'certificate.deny', subject: serial, detail });
    }),
  );
  const until = isoTime(keptUntil);
  if (options.json) printJson({ serial, status: 'denied', keptUntil: until });
  else print(`The certificate ${serial} is denied. This is forgotten at ${until}, when it must have ended.`);
}
