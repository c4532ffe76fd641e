/**
 * What is kept: the store, and with it the keys that calls are verified by, the counts, and the record of refusals.
 * @module
 */
import { Minutes } from '../audit/minutes.ts';
import { RepeatedRefusals } from '../audit/repeated-refusals.ts';
import { UnverifiedCalls } from '../audit/unverified-calls.ts';
import { epochSeconds } from '../clock.ts';
import { daysLeft } from '../consumers/expiry.ts';
import { KeyDirectory } from '../consumers/key-directory.ts';
import { KeyWatch } from '../gateway/key-watch.ts';
import { Metrics } from '../gateway/metrics.ts';
import { recordRefusal } from '../gateway/middleware/audit-refusal.ts';
import type { GatewayCertificate } from '../gateway/tls/gateway-certificate.ts';
import { SqliteStore } from '../storage/sqlite/store.ts';
import type { Start } from './start.ts';

export interface KeepingParts extends Start {
  readonly certificate: GatewayCertificate | undefined;
  /** Told when a message is put into the outbox, before its commit. */
  readonly onMessage: () => void;
}

export type Keeping = ReturnType<typeof openKeeping>;

/** Opens the store. At the end, what was counted is written before it is closed. */
export function openKeeping({ config, clock, logger, closers, certificate, onMessage }: KeepingParts) {
  const metrics: Metrics = new Metrics(() => store.nonceCount);
  const store: SqliteStore = new SqliteStore({
    folder: config.data,
    clock,
    skew: config.signatures.skew,
    masterKey: config.masterKey,
    onChange: (consumer) => keys.forget(consumer),
    onMissed: () => keys.forgetAll(),
    onMessage,
    observer: metrics,
  });
  closers.add(() => store.close());
  const { consumers, commitGroup } = store;
  const keys: KeyDirectory = new KeyDirectory(consumers, store.vault);
  if (store.fence > epochSeconds(clock)) {
    logger.warn({ fence: store.fence }, 'after a power loss: requests created up to the fence are refused');
  }
  if (certificate) metrics.watchCertificates(certificate);
  metrics.watchKeys(() => {
    const now = epochSeconds(clock);
    return consumers.standingKeys(now).map((key) => ({ ...key, daysLeft: daysLeft(key, now) }));
  });

  const unverified = new UnverifiedCalls();
  const repeated = new RepeatedRefusals();
  const record = recordRefusal({ commitGroup, unverified, repeated, logger });
  const minutes = new Minutes({
    counted: [unverified, repeated],
    reader: store.audit,
    append: (events) =>
      commitGroup.run('audit the last minute', async (tx) => {
        for (const event of events) await tx.audit.append(event);
      }),
    logger,
  });
  closers.add(() => minutes.write());
  const keyWatch = new KeyWatch({ clock, logger, consumers, commitGroup, usage: keys.usage });
  closers.add(() => keyWatch.stop());
  return { store, keys, metrics, unverified, record, minutes, keyWatch };
}
