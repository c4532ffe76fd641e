/**
 * The quotas' entries: how often a consumer may call. Who has none may call as often as it likes.
 * @module
 */
import { CountersignError } from '../errors.ts';
import { group, list, quantity, text } from './setting-types.ts';

/** What is counted: the consumer with all its keys, each of its keys, or each address that it calls from. */
export type QuotaSubject = 'consumer' | 'key' | 'address';

export interface QuotaSetting {
  readonly consumer: string;
  /** Calls that flow into the bucket each second; with `burst`, what it holds. Undefined where there is no such limit. */
  readonly perSecond: number | undefined;
  readonly burst: number | undefined;
  readonly perHour: number | undefined;
  readonly perDay: number | undefined;
  /** Each is counted for itself, against the same limits. */
  readonly by: readonly QuotaSubject[];
}

const SUBJECTS: readonly QuotaSubject[] = ['consumer', 'key', 'address'];
const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;
const MOST = 1_000_000_000;

function readConsumer(name: string): string {
  if (NAME.test(name)) return name;
  throw new CountersignError('config-invalid', "must be a consumer's name, such as shop");
}

function readSubject(name: string): QuotaSubject {
  const subject = SUBJECTS.find((each) => each === name);
  if (subject) return subject;
  throw new CountersignError('config-invalid', `must be one of ${SUBJECTS.join(', ')}`);
}

const calls = quantity({ least: 1, most: MOST, what: 'a number of calls' });

const entry = group('{ consumer: shop, perHour: 1000 }', {
  consumer: text("a consumer's name, such as shop", readConsumer),
  perSecond: quantity({ least: 0.001, most: 1_000_000, what: 'a number of calls', whole: false }).optional(),
  burst: calls.optional(),
  perHour: calls.optional(),
  perDay: calls.optional(),
  by: list('what is counted, such as [consumer, address]', text('what is counted', readSubject)).optional(),
});

export const quotaSettings = Object.keys(entry.shape);

/** The schema of `quotas:`. */
export const quotas = list(
  'quotas: [{ consumer, perHour }]',
  entry.transform(({ consumer, perSecond, burst, perHour, perDay, by }): QuotaSetting => {
    const subjects = new Set(by?.length ? by : ['consumer' as const]);
    return {
      consumer,
      perSecond,
      burst: perSecond === undefined ? undefined : (burst ?? Math.max(1, Math.ceil(perSecond))),
      perHour,
      perDay,
      by: SUBJECTS.filter((each) => subjects.has(each)),
    };
  }),
);

/** What no single setting shows: limits that limit nothing, and consumers that stand twice. */
export function* quotaFaults(
  entries: unknown,
): Iterable<{ readonly index: number; readonly name: string; readonly detail: string }> {
  if (!Array.isArray(entries)) return;
  const seen = new Map<string, number>();
  for (const [index, entry] of entries.entries()) {
    if (typeof entry !== 'object' || entry === null) continue;
    const { consumer, perSecond, burst, perHour, perDay } = entry as Readonly<Record<string, unknown>>;
    if (perSecond === undefined && burst !== undefined) {
      yield { index, name: 'burst', detail: 'needs perSecond, at which it is refilled' };
    } else if (perSecond === undefined && perHour === undefined && perDay === undefined) {
      yield { index, name: 'consumer', detail: 'has no limit here; write perSecond, perHour or perDay' };
    }
    if (typeof consumer !== 'string') continue;
    const earlier = seen.get(consumer);
    if (earlier === undefined) seen.set(consumer, index);
    else
      yield {
        index,
        name: 'consumer',
        detail: `has its quota in quotas[${earlier}]; a consumer stands once`,
      };
  }
}
