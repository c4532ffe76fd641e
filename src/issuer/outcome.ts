/**
 * What becomes of a request in a pass, and whose fault a failure is: the request's, the system's, or the pass's own.
 * @module
 */
import { CountersignError, type ErrorCode } from '../errors.ts';

/** What became of a request. */
export type Outcome =
  | {
      readonly outcome: 'issued';
      readonly id: string;
      readonly requester: string;
      /** As `DNS:api.example`. */
      readonly names: readonly string[];
      readonly serial: string;
      /** Epoch seconds. */
      readonly notAfter: number;
    }
  | {
      readonly outcome: 'rejected';
      readonly id: string;
      /** Absent where it isn't known whether it was they. */
      readonly requester?: string;
      readonly code: string;
      readonly detail: string;
    }
  /** Nothing was decided, and it stays where it is. */
  | { readonly outcome: 'postponed'; readonly id: string; readonly detail: string };

export interface PassReport {
  readonly outcomes: readonly Outcome[];
  /** Ids of which a file is still missing. */
  readonly partial: readonly string[];
}

/** What no other request will fare better with. */
export function isOfThePass(error: unknown): boolean {
  const codes: readonly ErrorCode[] = ['clock-untrusted', 'ledger-broken', 'passphrase-invalid'];
  return error instanceof CountersignError && codes.includes(error.code);
}

/** What isn't the request's fault. */
export function isOfTheSystem(error: unknown): boolean {
  if (error instanceof CountersignError) return error.code === 'authority-invalid';
  return error instanceof Error && 'syscall' in error;
}
