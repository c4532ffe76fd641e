/**
 * What a contract suite needs of an adapter: a fresh place, and stores upon it that stand for processes.
 * @module
 */
import { onTestFinished } from 'vitest';
import type { AccountReader } from '../../src/accounts/account.ts';
import type { Clock } from '../../src/clock.ts';
import type { ConsumerReader } from '../../src/consumers/consumer.ts';
import type { DeniedCertificateReader } from '../../src/consumers/denied-certificates.ts';
import type { QuotaStore } from '../../src/limits/quotas.ts';
import type { Nonce, NonceStore, NonceVerdict } from '../../src/replay/nonces.ts';
import type { CommitGroup } from '../../src/storage/unit-of-work.ts';
import { ManualClock } from '../storage/manual-clock.ts';

export interface StoreUnderTest {
  readonly commitGroup: CommitGroup;
  readonly nonces: NonceStore;
  readonly consumers: ConsumerReader;
  readonly deniedCertificates: DeniedCertificateReader;
  readonly accounts: AccountReader;
  readonly quotas: QuotaStore;
  purge(): Promise<void>;
  close(): void | Promise<void>;
}

export interface StoreSettings {
  readonly clock: Clock;
  /** Seconds. */
  readonly skew: number;
  readonly onChange: (consumer: string) => void;
}

/** Where the data lies. Each store that is opened upon it is as good as another process. */
export interface Place {
  open(settings: StoreSettings): StoreUnderTest | Promise<StoreUnderTest>;
}

/** Makes an empty place, which is removed when the test ends. */
export type MakePlace = () => Place | Promise<Place>;

export const SKEW = 30;
export const NOW = 1_800_000_000;

/** One place with a clock that all its stores share. */
export class Scene {
  readonly clock = new ManualClock(NOW);
  private readonly place: Place;

  private constructor(place: Place) {
    this.place = place;
  }

  static async make(makePlace: MakePlace): Promise<Scene> {
    return new Scene(await makePlace());
  }

  /** Opens one more store; it is closed when the test ends. */
  async open(onChange: (consumer: string) => void = () => {}): Promise<StoreUnderTest> {
    const store = await this.place.open({ clock: this.clock, skew: SKEW, onChange });
    onTestFinished(() => store.close());
    return store;
  }
}

let count = 0;

/** A fresh nonce of a message that lives for 60 seconds from now, unless told otherwise. */
export function nonce(given: Partial<Nonce> = {}): Nonce {
  const created = given.created ?? NOW;
  return {
    keyid: 'shop.key-1',
    value: `nonce-${String(++count).padStart(20, '0')}`,
    created,
    expires: created + 60,
    ...given,
  };
}

/** Claims one after the other, each in a turn of its own. */
export async function claimInTurn(store: StoreUnderTest, nonces: readonly Nonce[]): Promise<NonceVerdict[]> {
  const verdicts: NonceVerdict[] = [];
  for (const each of nonces) verdicts.push(await store.nonces.claim(each));
  return verdicts;
}

/** Claims all at once. */
export function claimTogether(store: StoreUnderTest, nonces: readonly Nonce[]): Promise<NonceVerdict[]> {
  return Promise.all(nonces.map((each) => store.nonces.claim(each)));
}
