/** A unit of work in memory: what fails leaves nothing but the nonces that it claimed. */
import type { AuditEvent } from '../../src/audit/audit.ts';
import type { OutboxMessage } from '../../src/idempotency/outbox.ts';
import type { DoneRecord } from '../../src/idempotency/records.ts';
import type { EndpointTransaction, ResultSealing, UnitOfWork } from '../../src/idempotency/run.ts';

export interface FakeTransaction extends EndpointTransaction {
  /** What the endpoint changes. */
  readonly counters: Map<string, number>;
}

export class FakeStore implements UnitOfWork<FakeTransaction> {
  readonly nonces = new Set<string>();
  records = new Map<string, DoneRecord>();
  counters = new Map<string, number>();
  audited: AuditEvent[] = [];
  sent: OutboxMessage[] = [];

  async run<T>(_: string, work: (tx: FakeTransaction) => T | Promise<T>): Promise<T> {
    const { nonces } = this;
    const records = new Map(this.records);
    const counters = new Map(this.counters);
    const audited = [...this.audited];
    const sent = [...this.sent];
    const result = await work({
      nonces: {
        claim({ keyid, value }) {
          const name = `${keyid} ${value}`;
          if (nonces.has(name)) return 'replayed';
          nonces.add(name);
          return 'claimed';
        },
      },
      records: {
        find: (id) => records.get(id),
        put: (id, record) => void records.set(id, record),
        remove: (id) => void records.delete(id),
        forget: () => {},
      },
      audit: { append: (event) => void audited.push(event) },
      outbox: { add: (message) => void sent.push(message), forget: () => {} },
      counters,
    });
    Object.assign(this, { records, counters, audited, sent });
    return result;
  }
}

/** Binds a result to its record, and makes it unreadable, as far as a test cares. */
export const sealing: ResultSealing = {
  seal: (id, result) => Buffer.from(`${id} ${result.toString('base64')}`),
  open(id, sealed) {
    const [owner, result = ''] = sealed.toString().split(' ');
    if (owner !== id) throw new Error('sealed for another record');
    return Buffer.from(result, 'base64');
  },
};
