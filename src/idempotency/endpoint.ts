/**
 * An endpoint that may be asked again: its author says what it loads, what changes and what it answers, and the
 * gateway makes it happen once.
 *
 * The order is fixed: parameters are checked, the state is loaded, the change is computed from both without side
 * effects, the change is applied, the answer is computed without side effects. Nonce (or key), effect, result and
 * audit row are one commit.
 * @module
 */
import type { Authorized } from '../security/authorize.ts';

/** What an answer consists of; stored as it is given, signed afresh each time. */
export interface EndpointResult {
  readonly status: number;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON; none where undefined. */
  readonly body?: unknown;
}

/** What pure functions may know besides their input: they read no clock and draw no numbers themselves. */
export interface Circumstances<Role extends string> {
  readonly context: Authorized<Role>;
  /** Epoch seconds. */
  readonly now: number;
}

/**
 * Randomness, such as that of a new secret, is drawn in `loadState`: it is a part of what is found.
 *
 * @typeParam Tx the unit of work
 * @typeParam I what comes in, unchecked
 * @typeParam P what the caller asks for
 * @typeParam S what is loaded
 * @typeParam C what changes
 */
export interface IdempotentEndpoint<Tx, I, P, S, C, Role extends string> {
  /** In the audit record: `noun.verb`. */
  readonly name: string;
  readonly role: Role;
  /** `nonce`: once per signed message. `key`: once per Idempotency-Key, which outlives the signature. */
  readonly idempotency: 'nonce' | 'key';
  /** Answers with a secret: its result is stored only under an Idempotency-Key, and goes only over TLS or loopback. */
  readonly issuesSecret?: true;
  /** Checks what came in; throws `validation-failed` with every fault. Pure. */
  parameters(input: I, circumstances: Circumstances<Role>): P;
  loadState(tx: Tx, parameters: P, circumstances: Circumstances<Role>): S | Promise<S>;
  /** Pure. Throws a refusal where the state doesn't allow the change. */
  updateState(state: S, parameters: P, circumstances: Circumstances<Role>): C;
  apply(tx: Tx, changes: C, context: Authorized<Role>): void | Promise<void>;
  /** Pure. */
  getResponse(changes: C, parameters: P): EndpointResult;
  /**
   * What the audit record says was changed, and to what; never a secret.
   * @returns with an actor only where the caller isn't known before: who registers, or logs in.
   */
  audit(
    changes: C,
    parameters: P,
  ): {
    readonly actor?: string;
    readonly subject: string;
    readonly detail?: Readonly<Record<string, unknown>>;
  };
}
