/**
 * The embedded store: one SQLite file in the data folder, opened, recovered and joined to the ports.
 * @module
 */
import { existsSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { AccountReader } from '../../accounts/account.ts';
import type { AuditReader } from '../../audit/audit.ts';
import { type Clock, epochSeconds } from '../../clock.ts';
import type { ConsumerReader } from '../../consumers/consumer.ts';
import type { DeniedCertificateReader } from '../../consumers/denied-certificates.ts';
import { KeyVault } from '../../consumers/key-vault.ts';
import { loadMasterKey } from '../../consumers/master-key.ts';
import type { OutboxQueue } from '../../idempotency/outbox.ts';
import type { DoneRecordReader } from '../../idempotency/records.ts';
import type { QuotaStore } from '../../limits/quotas.ts';
import { fenceAtStart, readBootId } from '../../replay/fence.ts';
import { forgettable, type NonceStore } from '../../replay/nonces.ts';
import type { CommitGroup } from '../unit-of-work.ts';
import { SqliteAccountReader, SqliteAccounts } from './accounts.ts';
import { SqliteAudit, SqliteAuditReader } from './audit.ts';
import { type CommitObserver, SqliteCommitGroup } from './commit-group.ts';
import { SqliteConsumerReader, SqliteConsumers } from './consumers.ts';
import {
  type Connections,
  type Database,
  databaseExists,
  durably,
  limitLockWait,
  makeFolder,
  openDatabase,
  openFailure,
  truncateJournal,
} from './database.ts';
import { SqliteDeniedCertificateReader, SqliteDeniedCertificates } from './denied-certificates.ts';
import { SqliteDocuments } from './documents.ts';
import { Meta } from './meta.ts';
import { SqliteNonces } from './nonces.ts';
import { SqliteOutbox, SqliteOutboxQueue } from './outbox.ts';
import { SqliteQuotaReader, SqliteQuotas } from './quotas.ts';
import { SqliteRecordReader, SqliteRecords } from './records.ts';
import { endAllLogins, SqliteEndedTokens } from './tokens.ts';
import { type RekeyStep, WrappedKeys } from './wrapped-keys.ts';

export interface StoreOptions {
  readonly folder: string;
  readonly clock: Clock;
  /** Seconds, as the verifier allows. */
  readonly skew: number;
  readonly masterKey: string | undefined;
  readonly onChange?: (consumer: string) => void;
  /** Told where changes of consumers were missed: any may have been changed. */
  readonly onMissed?: () => void;
  /** Told when a message is put into the outbox, before its commit. */
  readonly onMessage?: () => void;
  readonly observer?: CommitObserver;
  /** Milliseconds for which a lock of another process is waited for: by default 5000 at the start, 250 after it. */
  readonly lockWaitMs?: number;
  /** Injected by tests; read from the kernel otherwise. */
  readonly bootId?: () => string | undefined;
}

/** A backup bears this file, and a folder that was restored from it still does. */
export const RESTORED_MARK = 'restored';

const SILENT: CommitObserver = { committed() {}, failed() {} };

export class SqliteStore {
  readonly commitGroup: CommitGroup;
  readonly nonces: NonceStore;
  readonly consumers: ConsumerReader;
  readonly deniedCertificates: DeniedCertificateReader;
  readonly accounts: AccountReader;
  readonly quotas: QuotaStore;
  readonly vault: KeyVault;
  readonly audit: AuditReader;
  /** What was done, as it is committed. */
  readonly done: DoneRecordReader;
  readonly outbox: OutboxQueue;
  /** By version, for verifying the chain. */
  readonly auditKeys: ReadonlyMap<number, Buffer>;
  private readonly wrappedKeys: WrappedKeys;
  private readonly changes: SqliteConsumers;
  private readonly endedTokens: SqliteEndedTokens;
  private readonly denials: SqliteDeniedCertificates;
  private readonly records: SqliteRecords;
  private readonly quotaUses: SqliteQuotas;
  private readonly connections: Connections;
  private readonly window: SqliteNonces;
  private readonly meta: Meta;
  private readonly options: StoreOptions;
  private owesTruncation = false;

  /** Opens the store; makes the folder, the master key and the database where there are none. */
  constructor(options: StoreOptions) {
    const {
      folder,
      clock,
      masterKey: given,
      onChange = () => {},
      onMessage = () => {},
      observer = SILENT,
    } = options;
    this.options = options;
    makeFolder(folder);
    const masterKey = loadMasterKey({ folder, given, databaseExists: databaseExists(folder) });
    this.connections = openDatabase(folder, options.lockWaitMs);
    const { writer: database, reader } = this.connections;
    try {
      this.wrappedKeys = new WrappedKeys(database, folder, given);
      const { dataKeys, auditKeys } = this.wrappedKeys.open(masterKey);
      this.vault = new KeyVault(dataKeys);
      this.auditKeys = auditKeys;
      this.meta = new Meta(database);
      this.window = new SqliteNonces(database);
      this.window.fence = this.raiseFence(database);
      this.endedTokens = new SqliteEndedTokens(database);
      this.denials = new SqliteDeniedCertificates(database);
      this.records = new SqliteRecords(database);
      this.quotaUses = new SqliteQuotas(database, clock);
      this.changes = new SqliteConsumers(database);
      const group = new SqliteCommitGroup({
        database,
        nonces: this.window,
        consumers: this.changes,
        accounts: new SqliteAccounts(database, this.vault),
        deniedCertificates: this.denials,
        records: this.records,
        audit: new SqliteAudit(database, this.auditKeys, clock),
        quotas: this.quotaUses,
        state: new SqliteDocuments(database),
        outbox: new SqliteOutbox(database, this.vault, onMessage),
        onChange,
        onMissed: options.onMissed,
        observer,
      });
      // Recovery: the whole window is read before the first verdict is asked for.
      database.transaction(() => this.window.follow())();
      this.commitGroup = group;
      this.nonces = group;
      this.consumers = new SqliteConsumerReader(reader);
      this.deniedCertificates = new SqliteDeniedCertificateReader(reader);
      this.accounts = new SqliteAccountReader(reader, this.vault);
      const uses = new SqliteQuotaReader(reader, clock);
      this.quotas = { charge: (quotas) => group.charge(quotas), look: (quotas) => uses.look(quotas) };
      this.audit = new SqliteAuditReader(reader);
      this.done = new SqliteRecordReader(reader);
      this.outbox = new SqliteOutboxQueue({
        writer: database,
        reader,
        vault: this.vault,
        commitGroup: group,
      });
      limitLockWait(this.connections, options.lockWaitMs);
    } catch (error) {
      this.close();
      throw openFailure(folder, error);
    }
  }

  /** Nonces held in memory. */
  get nonceCount(): number {
    return this.window.size;
  }

  /** Epoch seconds: requests created at or before this are refused (0 where no fence was ever raised). */
  get fence(): number {
    return this.window.fence;
  }

  /** Throws where the database doesn't answer. For readiness. */
  ping(): void {
    this.connections.reader.prepare('SELECT 1').get();
  }

  /** Forgets nonces whose messages can't be accepted any more. The horizon is durable before anything goes. */
  async purge(): Promise<void> {
    const limit = forgettable(epochSeconds(this.options.clock), this.options.skew);
    const horizon = await this.commitGroup.run('raise the nonce horizon', () =>
      this.window.raiseHorizon(limit),
    );
    this.window.forget(horizon);
    let gone: number;
    do gone = await this.commitGroup.run('purge nonces', () => this.window.deleteBehind(horizon));
    while (gone > 0);
    const now = epochSeconds(this.options.clock);
    do gone = await this.commitGroup.run('purge records', () => this.records.purge(now));
    while (gone > 0);
    do gone = await this.commitGroup.run('purge tokens', () => this.endedTokens.purge(now));
    while (gone > 0);
    await this.commitGroup.run('purge denied certificates', () => this.denials.purge(now));
    do gone = await this.commitGroup.run('purge quotas', () => this.quotaUses.purge());
    while (gone > 0);
    do gone = await this.commitGroup.run('trim the changes', () => this.changes.trimChanges());
    while (gone > 0);
    if (this.owesTruncation) await this.truncateJournal();
  }

  /**
   * Writes the journal into the file and empties it, so that nothing is left there of what was erased. Call after the
   * commit; the work of a transaction must not await it.
   * @returns false where a reader of another process is in the way: every purge then tries again.
   */
  async truncateJournal(): Promise<boolean> {
    const { writer } = this.connections;
    // A checkpoint inside a transaction would fail; a turn ends before the turn after the next.
    while (writer.inTransaction) await new Promise((resolve) => setImmediate(resolve));
    this.owesTruncation = !truncateJournal(writer);
    return !this.owesTruncation;
  }

  /** The keyid of the demo consumer that the first start made. */
  demoKeyid(): string | undefined {
    return this.meta.text('demo-keyid');
  }

  /** The keyid of the public demo key, the newest that was made. */
  publicDemoKeyid(): string | undefined {
    return this.meta.text('public-demo-keyid');
  }

  /** Call inside the unit of work that makes it. */
  rememberPublicDemo(keyid: string): void {
    this.meta.set('public-demo-keyid', keyid);
  }

  /** Remembers that the demo consumer was made. Call inside the unit of work that makes it. */
  rememberDemo(keyid: string): void {
    this.meta.set('demo-keyid', keyid);
  }

  /**
   * Wraps all keys by another master key, and puts it in the place of the file where there is one. Whoever has the
   * store open goes on: it holds the keys, which stay as they are.
   * @param actor for the audit record.
   */
  async changeMasterKey(
    next: Buffer,
    actor: string,
    onStep: (step: RekeyStep) => void = () => {},
  ): Promise<void> {
    try {
      await this.commitGroup.run('change the master key', async (tx) => {
        this.wrappedKeys.rewrap(next, onStep);
        await tx.audit.append({ actor, action: 'key.rekey', subject: 'master-key' });
      });
      onStep('committed');
    } finally {
      this.wrappedKeys.settle();
    }
  }

  close(): void {
    this.connections.reader.close();
    this.connections.writer.close();
  }

  private raiseFence(database: Database): number {
    const { folder, clock, skew, bootId: read = readBootId } = this.options;
    const mark = join(folder, RESTORED_MARK);
    const restored = existsSync(mark);
    const bootId = read();
    const raise = database.transaction(() => {
      const state = { lastBootId: this.meta.text('boot-id'), fence: this.meta.number('fence') };
      const now = epochSeconds(clock);
      const fence = fenceAtStart(state, bootId, restored, now, skew);
      if (restored) endAllLogins(database, now);
      this.meta.set('fence', fence);
      // Never undefined: from now on the store has been opened, in a boot that may have no name.
      this.meta.set('boot-id', bootId ?? '');
      return fence;
    });
    const fence = durably(database, () => raise.immediate());
    if (restored) unlinkSync(mark);
    return fence;
  }
}
