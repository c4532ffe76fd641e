/**
 * What the stages of the pipeline learn about one call, in the order in which they learn it.
 * @module
 */
import type Koa from 'koa';
import type { CountersignError, ErrorCode } from '../errors.ts';
import type { SecurityContext } from '../security/security-context.ts';
import type { RequestMessage } from '../signatures/components.ts';
import type { VerifiedRequest } from '../signatures/verify-request.ts';

/** See the README, "Asking again". */
export type IdempotencyClass = 'none' | 'upstream' | 'nonce' | 'key';

/** Where a call goes. A route in code that leaves one of these out stops the start with its name. */
export interface Route {
  readonly name: string;
  /** The one kind of credential that it demands. */
  readonly credential: 'none' | 'signature';
  /** The role that it asks for; `any` for whoever is authenticated. */
  readonly role: string;
  readonly idempotency: IdempotencyClass;
  /** Whether conditional, range and preference fields must be covered: on the gateway's own API. */
  readonly conditions: boolean;
  /** Whether `%2f` may stand in the path. */
  readonly encodedSlash: boolean;
  /** Answers whatever the Host, unauthenticated: for load balancers. */
  readonly probe?: true;
  answer(ctx: Context): void | Promise<void>;
}

export class CallState {
  readonly requestId: string;
  /** The peer, or what a trusted proxy says it is. */
  address = '';
  /** A loopback peer that isn't a trusted proxy, with no forwarding header, at a loopback origin or the admin port. */
  local = false;
  message!: RequestMessage;
  encodedSlash = false;
  route!: Route;
  /** What stands in the variable parts of the route's path, decoded. */
  params: Readonly<Record<string, string>> = NO_PARAMS;
  /** Set as soon as the MAC holds: from then on every answer is signed. */
  verified: VerifiedRequest | undefined;
  /** Deserved by the message's times, and given once its nonce is claimed. */
  untimely: CountersignError | undefined;
  /** Whether the nonce is used up. An endpoint of the class `nonce` claims it in its own unit of work. */
  claimed = false;
  consumer: string | undefined;
  /** The consumer's pseudonymous id, for the audit record. */
  actor = '';
  context: SecurityContext | undefined;
  /** Whether 100 Continue was sent. */
  continued = false;
  body: Buffer = EMPTY;
  /** The code of the refusal, or `connection-lost` where nobody is left to be answered. */
  refusal: ErrorCode | undefined;

  constructor(requestId: string) {
    this.requestId = requestId;
  }
}

const EMPTY = Buffer.alloc(0);
const NO_PARAMS = {};

export type Context = Koa.ParameterizedContext<CallState>;
export type Stage = (ctx: Context, next: Koa.Next) => Promise<void>;

/** The authenticated caller; routes with the credential `signature` always have one. */
export function callerOf(ctx: Context): SecurityContext {
  if (!ctx.state.context) throw new Error(`the route ${ctx.state.route.name} was answered without a caller`);
  return ctx.state.context;
}
