/**
 * Which quotas a call is charged to: those of its consumer, where it was given any.
 * @module
 */
import type { QuotaSetting, QuotaSubject } from '../config/quotas.ts';
import { bucketKey } from './failure-bucket.ts';
import type { Quota } from './quotas.ts';

export interface QuotaCaller {
  readonly consumer: string;
  readonly keyid: string;
  readonly address: string;
}

const HOUR = 3600_000;
const DAY = 24 * HOUR;

type Limit = Omit<Quota, 'counter' | 'name'> & { readonly name: string };

interface Limited {
  readonly by: readonly QuotaSubject[];
  readonly limits: readonly Limit[];
}

export class ConsumerQuotas {
  private readonly limited: ReadonlyMap<string, Limited>;

  /** @param settings of two for one consumer the later counts. */
  constructor(settings: readonly QuotaSetting[]) {
    this.limited = new Map(
      settings.map((setting) => [setting.consumer, { by: setting.by, limits: limitsOf(setting) }]),
    );
  }

  /** Undefined for whoever may call as often as it likes. */
  of(caller: QuotaCaller): readonly Quota[] | undefined {
    const limited = this.limited.get(caller.consumer);
    return limited?.by.flatMap((by) => {
      const subject = subjectOf(by, caller);
      return limited.limits.map((limit) => ({
        ...limit,
        name: `${by}-${limit.name}`,
        counter: `${by}-${limit.name} ${subject}`,
      }));
    });
  }
}

function limitsOf({ perSecond, burst, perHour, perDay }: QuotaSetting): Limit[] {
  const limits: Limit[] = [];
  if (perSecond !== undefined && burst !== undefined) {
    limits.push({ name: 'burst', calls: burst, period: (burst / perSecond) * 1000, refill: 'bucket' });
  }
  if (perHour !== undefined) limits.push({ name: 'hour', calls: perHour, period: HOUR, refill: 'window' });
  if (perDay !== undefined) limits.push({ name: 'day', calls: perDay, period: DAY, refill: 'window' });
  return limits;
}

/** An address counts for each consumer by itself: whoever shares one pays for nobody else. */
function subjectOf(by: QuotaSubject, { consumer, keyid, address }: QuotaCaller): string {
  if (by === 'consumer') return consumer;
  return by === 'key' ? keyid : `${consumer} ${bucketKey(address)}`;
}
