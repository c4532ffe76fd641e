/**
 * A cause: why a signature doesn't hold, or a call was refused, in a word that a program can act on.
 * @module
 */
import type { ErrorCode } from '../../errors.ts';

/** What `explain` finds out. Beside these stand the codes of refusals. */
export type FoundCause =
  | 'algorithm-wrong'
  | 'base-malformed'
  | 'body-changed'
  | 'clock-skewed'
  | 'header-changed'
  | 'header-dropped'
  | 'header-joined'
  | 'header-trimmed'
  | 'host-changed'
  | 'keyid-differs'
  | 'method-changed'
  | 'parameters-changed'
  | 'path-changed'
  | 'path-escapes-changed'
  | 'query-changed'
  | 'query-missing'
  | 'scheme-changed'
  | 'secret-differs'
  | 'secret-wrong';

export interface Cause {
  readonly code: FoundCause | ErrorCode;
  /** What happened and what to mend, for people. */
  readonly detail: string;
}
