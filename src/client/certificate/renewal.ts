/**
 * What a renewal is told, what it tells, and how it paces itself.
 * @module
 */
import type { CertificateUse } from './certificate.ts';
import type { CertificateNames } from './certificate-request.ts';

export type RenewalEvent =
  /** A request was dropped: carry its files to the issuer, who must know the request key by its name, and back the answer. */
  | {
      readonly event: 'requested';
      readonly id: string;
      readonly inbox: string;
      /** False where an earlier process dropped it, and its files were taken since: then the answer alone is to come. */
      readonly isWaiting: boolean;
      /** The public half of the request key, in PEM. */
      readonly requestKeyFile: string;
      /** SHA-256 of its SPKI, as `ca enrol` shows it: `3F:A4:…`. */
      readonly requestKey: string;
    }
  | { readonly event: 'renewed'; readonly serial: string; readonly notAfter: Date }
  /** A trust bundle was taken over, which roots of before have signed: other roots are trusted from now on. */
  | { readonly event: 'trusted'; readonly version: number }
  /** What came can't be used, or the issuer refused, or the disk did; what was in force stays, and it is tried again. */
  | { readonly event: 'failed'; readonly detail: string }
  /** A third, then a sixth of its life is left, and then none. */
  | { readonly event: 'ending'; readonly secondsLeft: number; readonly notAfter: Date }
  | { readonly event: 'ended'; readonly secondsLeft: 0; readonly notAfter: Date };

export interface Pacing {
  /** Milliseconds between two looks, beside the watch on the folder. Default: 10,000. */
  readonly poll: number;
  /** Milliseconds until the next try after one that failed. Default: 60,000. */
  readonly retry: number;
  /** Shares of a certificate's life between which the next one is asked for. Default: an eighth and a fifth. */
  readonly askFrom: number;
  readonly askUntil: number;
  /** Milliseconds after which a request that was taken and never answered counts as lost. Default: 3 hours. */
  readonly lostAfter: number;
}

export interface RenewerOptions {
  /** Where keys and certificate are kept; its `trust.pem` holds the issuer's root. */
  readonly folder: string;
  /** The name that the issuer knows the request key by. */
  readonly requester: string;
  readonly use: CertificateUse;
  readonly names: CertificateNames;
  /** Where requests are dropped. */
  readonly inbox: string;
  /** Where chains appear. */
  readonly outbox: string;
  readonly onEvent?: (event: RenewalEvent) => void;
  /** Milliseconds since the epoch. Default: the system's clock. */
  readonly clock?: { now(): number };
  /** From 0 to 1, for jitter. Default: `Math.random`. */
  readonly random?: () => number;
  readonly pacing?: Partial<Pacing>;
}

const PACING: Pacing = {
  poll: 10_000,
  retry: 60_000,
  askFrom: 1 / 8,
  askUntil: 1 / 5,
  lostAfter: 3 * 3600_000,
};

/** The options with their defaults. */
export interface SettledOptions extends RenewerOptions {
  readonly onEvent: (event: RenewalEvent) => void;
  readonly clock: { now(): number };
  readonly random: () => number;
  readonly pacing: Pacing;
}

export function settled(options: RenewerOptions): SettledOptions {
  const { onEvent = () => {}, clock = { now: () => Date.now() }, random = Math.random, pacing } = options;
  return { ...options, onEvent, clock, random, pacing: { ...PACING, ...pacing } };
}
