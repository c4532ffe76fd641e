/**
 * An issuer in the gateway's own process, for development (`serve --tls`): the same root, the same checks and the same
 * ledger as on an offline box, except that nothing is offline. The root's key and its passphrase lie side by side in the
 * data folder, so the root may vouch for names of this machine alone.
 * @module
 */
import { randomBytes, type X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Logger } from 'pino';
import { parseCertificates } from '../../client/certificate/certificate.ts';
import { readPlainFile, removeFile, replaceFile } from '../../client/certificate/durable-file.ts';
import { type Clock, epochSeconds } from '../../clock.ts';
import type { TlsSettings } from '../../config/config.ts';
import { CountersignError } from '../../errors.ts';
import {
  type Authority,
  createAuthority,
  openAuthority,
  ROOT_FILE,
  readAuthority,
} from '../../issuer/authority.ts';
import { colonText } from '../../issuer/fingerprint.ts';
import type { Outcome } from '../../issuer/outcome.ts';
import { runPass } from '../../issuer/pass.ts';
import { PROFILE_FILE } from '../../issuer/profile.ts';
import { enrol } from '../../issuer/requesters.ts';
import { tlsFolder, trustFile } from './gateway-certificate.ts';
import { hostOf, splitNames } from './names.ts';

export interface DevelopmentIssuerParts {
  readonly tls: TlsSettings;
  /** The data folder. */
  readonly data: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

const PASSPHRASE_FILE = 'passphrase';
const ROOT_NAME = 'Countersign development root - not offline';
/** Seconds. */
const YEAR = 365 * 24 * 3600;
const MONTH = 30 * 24 * 3600;
const MARK = '# Made by "serve --tls" at each start; without this line it is yours, and stays as it is.';
const WARNING = `This root is for development alone. It is not offline: its key and the passphrase of that key lie side by
side in this folder, so whoever can read it can make certificates for localhost that this machine trusts.

Its public half is tls/trust.pem in the data folder. For anything else than development, make a root with
"countersign ca init" on a machine that has no network.
`;

/** Where the development root lives. */
export function developmentRootFolder(data: string): string {
  return join(tlsFolder(data), 'development-root');
}

export class DevelopmentIssuer {
  private readonly parts: DevelopmentIssuerParts;
  private readonly dir: string;
  private passes: Promise<boolean> = Promise.resolve(true);

  private constructor(parts: DevelopmentIssuerParts) {
    this.parts = parts;
    this.dir = developmentRootFolder(parts.data);
  }

  /** Makes the root where there is none, or where it ends within a month. `start-up-failed` beside another's root. */
  static async open(parts: DevelopmentIssuerParts): Promise<DevelopmentIssuer> {
    const issuer = new DevelopmentIssuer(parts);
    mkdirSync(tlsFolder(parts.data), { recursive: true, mode: 0o700 });
    const pem = issuer.rootInForce() ?? (await issuer.makeRoot());
    replaceFile(trustFile(parts.data), pem, 0o644);
    issuer.writeProfile();
    return issuer;
  }

  /** Answers what lies in the inbox. What goes wrong goes to the log. @returns false where something waits still. */
  answer(): Promise<boolean> {
    this.passes = this.passes.then(() => this.pass());
    return this.passes;
  }

  private async pass(): Promise<boolean> {
    const { tls, data, clock, logger } = this.parts;
    try {
      const publicKey = readFileSync(join(tlsFolder(data), 'request.pub.pem'), 'utf8');
      // Each time, since an approval lapses after 30 days.
      const approval = { folder: this.dir, name: tls.requester, publicKey, replace: true, clock };
      await enrol({ ...approval, acceptClock: true });
      const { inbox, outbox } = tls;
      const onOutcome = (outcome: Outcome) => {
        if (outcome.outcome !== 'issued') logger.error(outcome, 'the development issuer issued nothing');
      };
      const authority = this.authority();
      const { outcomes } = await runPass({ authority, inbox, outbox, clock, acceptClock: true, onOutcome });
      return outcomes.every(({ outcome }) => outcome !== 'postponed');
    } catch (error) {
      logger.error({ err: error }, 'the development issuer could not answer');
      return false;
    }
  }

  /** Opened for each pass: between them its key is not in memory, and a start that needs no pass is quick. */
  private authority(): Authority {
    return openAuthority(this.dir, readFileSync(this.passphraseFile, 'utf8').split('\n')[0] ?? '');
  }

  /** @returns the root in PEM; undefined where there is none that is good for a while. */
  private rootInForce(): string | undefined {
    const trusted = readPlainFile(trustFile(this.parts.data));
    const own = readPlainFile(join(this.dir, ROOT_FILE));
    // One for development that isn't our own is what an earlier folder, or a kill, has left.
    const isOther = ({ subject }: X509Certificate) => subject !== `CN=${ROOT_NAME}`;
    if (parseCertificates(trusted ?? '').some(isOther)) {
      throw new CountersignError(
        'start-up-failed',
        `${trustFile(this.parts.data)} holds a root that is not the one for development; start without --tls, or with another data folder.`,
      );
    }
    if (own === undefined || !existsSync(this.passphraseFile)) return undefined;
    return readAuthority(this.dir).notAfter - MONTH > epochSeconds(this.parts.clock) ? own : undefined;
  }

  /** Made as a draft, of which a kill leaves nothing that the next start keeps; of two at once both use one. */
  private async makeRoot(): Promise<string> {
    const { clock, logger, tls } = this.parts;
    const draft = join(dirname(this.dir), `.${basename(this.dir)}.${process.pid}.part`);
    rmSync(draft, { recursive: true, force: true });
    mkdirSync(draft, { mode: 0o700 });
    replaceFile(join(draft, 'NOT-OFFLINE.txt'), WARNING);
    const passphrase = randomBytes(24).toString('base64url');
    replaceFile(join(draft, PASSPHRASE_FILE), `${passphrase}\n`);
    const { pem, fingerprint } = await createAuthority({
      dir: draft,
      name: ROOT_NAME,
      constraints: {
        dns: ['localhost'],
        ip: ['127.0.0.0/8', '::1/128'],
        uri: [...new Set(['localhost', ...tls.uris.map(hostOf)])],
      },
      passphrase,
      clock,
      lifetime: YEAR,
    });
    // Another process may have made one meanwhile.
    const found = this.rootInForce();
    if (found === undefined) rmSync(this.dir, { recursive: true, force: true });
    try {
      renameSync(draft, this.dir);
    } catch (error) {
      rmSync(draft, { recursive: true, force: true });
      const theirs = found ?? this.rootInForce();
      if (theirs === undefined) throw error;
      return theirs;
    }
    // What was asked of a root before is asked anew.
    removeFile(join(tlsFolder(this.parts.data), 'pending.json'));
    logger.warn(
      { folder: this.dir, fingerprint: colonText(fingerprint) },
      'made a root for development: it is not offline',
    );
    return pem;
  }

  private writeProfile(): void {
    const file = join(this.dir, PROFILE_FILE);
    const { requester, names, uris } = this.parts.tls;
    const found = readPlainFile(file);
    const isOurs = found === undefined || found.startsWith(MARK) || found.includes('\nrequesters: {}\n');
    if (!isOurs) return;
    const { dns, ip } = splitNames(names, uris);
    const entry = { use: 'server', dns, ip, uri: uris, lifetime: '12h' };
    // JSON is YAML.
    replaceFile(file, `${MARK}\n${JSON.stringify({ requesters: { [requester]: entry } }, null, 2)}\n`);
  }

  private get passphraseFile(): string {
    return join(this.dir, PASSPHRASE_FILE);
  }
}
