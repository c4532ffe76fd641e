/**
 * What calls set to work: people and their accounts, operations and the upstreams behind them, the outbox.
 * @module
 */
import { Passwords } from '../accounts/password.ts';
import { accountDesk } from '../gateway/routes/people/account-parts.ts';
import { peopleParts } from '../gateway/routes/people/parts.ts';
import { Upstreams } from '../gateway/upstream/forward.ts';
import { type Deliver, Deliveries } from '../idempotency/delivery.ts';
import { Operations } from '../idempotency/operations.ts';
import { Owner } from '../idempotency/owner.ts';
import { FailureBuckets } from '../limits/failure-bucket.ts';
import type { Keeping } from './keeping.ts';
import type { Settings } from './settings.ts';
import type { Start } from './start.ts';

export interface WorkParts extends Start {
  readonly keeping: Keeping;
  readonly settings: Settings;
  /** Of the host's own endpoints. */
  readonly deliver: Readonly<Record<string, Deliver>>;
}

export type Work = ReturnType<typeof beginWork>;

/** From now on the outbox is delivered. At the end, what is under way is waited for. */
export function beginWork({ config, clock, logger, closers, keeping, settings, deliver }: WorkParts) {
  const { store, keys } = keeping;
  const { commitGroup, vault, consumers } = store;
  const { skew } = config.signatures;
  const { keyLife, keptBody: mostBody } = config.idempotency;
  const shared = {
    clock,
    keys,
    commitGroup,
    vault,
    skew,
    keyLife,
    consumers,
    accounts: store.accounts,
    roleSettings() {
      const { roles: listed, grantableRoles: grantable, grantableTo, routes } = settings.config;
      return { listed, grantable, grantableTo, routes };
    },
  };
  const buckets = new FailureBuckets(config.limits.failures, clock);
  const passwords = new Passwords();
  const origin = () => settings.origin();
  const people = peopleParts({ ...shared, passwords, failures: buckets, origin });
  const accounts = accountDesk(people, {
    store,
    passwords,
    registration: () => settings.config.accounts.registration,
    listedRoles: () => settings.config.roles,
    data: config.data,
    smtp: () => settings.config.accounts.mail,
    origin,
    logger,
  });
  closers.add(() => accounts.close());
  const deliveries: Deliveries = new Deliveries({
    queue: store.outbox,
    handlers: { ...deliver, ...accounts.deliver },
    owner: new Owner(),
    clock,
    onFailure: (error, delivery) =>
      logger.error({ err: error, ...delivery }, 'a message of the outbox could not be delivered'),
  });
  closers.add(() => deliveries.close());

  const sealing = {
    seal: (id: string, result: Buffer) => vault.seal('result', id, result),
    open: (id: string, sealed: Buffer) => vault.open('result', id, sealed),
  };
  const owner = new Owner();
  closers.add(() => owner.idle());
  const operations = new Operations({ owner, clock, sealing, keyLife, skew, mostBody });
  const upstreams = new Upstreams({ maxBody: config.limits.upstreamBody });
  closers.add(() => upstreams.close());
  return { shared, buckets, people, accounts, deliveries, operations, upstreams };
}
