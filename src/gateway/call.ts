/**
 * What the stages of the pipeline learn about one call, in the order in which they learn it.
 * @module
 */
import type Koa from 'koa';
import type { z } from 'zod';
import type { CountersignError, ErrorCode } from '../errors.ts';
import type { Quota, QuotaVerdict } from '../limits/quotas.ts';
import type { SecurityContext } from '../security/security-context.ts';
import type { RequestMessage } from '../signatures/components.ts';
import type { VerifiedRequest } from '../signatures/verify-request.ts';
import { type CertificateAt, NO_CERTIFICATE } from './tls/client-certificate.ts';

/** See the README, "Asking again". */
export type IdempotencyClass = 'none' | 'upstream' | 'nonce' | 'key';

/** How a caller may say who it is. */
export type CredentialKind = 'signature' | 'bearer' | 'cookie' | 'basic';

/** What a person may present. */
export type PersonalKind = Exclude<CredentialKind, 'signature'>;

/** Services. */
export const SIGNED: readonly CredentialKind[] = ['signature'];
/** People and their tools. */
export const PEOPLE: readonly CredentialKind[] = ['bearer', 'cookie', 'basic'];
/** Operators: with a consumer's key, with a token, at the console. A password alone doesn't manage anything. */
export const OPERATORS: readonly CredentialKind[] = ['signature', 'bearer', 'cookie'];
export const ANYONE: readonly CredentialKind[] = ['signature', ...PEOPLE];

/** A person who was let in by something else than a signature. */
export interface Person {
  /** The account's random id. */
  readonly account: string;
  /** The account's token generation, as it was when the call came in. */
  readonly generation: number;
  readonly kind: PersonalKind;
  /** The roles that the token or session was issued with; undefined where it grants all that the account has. */
  readonly roles: readonly string[] | undefined;
  /** Of the refresh tokens that the access token was issued with: logging out ends it. */
  readonly family?: string;
  /** The hash of the session's id, as it is stored. */
  readonly session?: Buffer;
  /** What the session's page must send with changes: see middleware/authenticate-person.ts. */
  readonly csrf?: string;
}

/** What a route takes, part by part: what is left out may not be there. */
export interface RouteSchema {
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
}

/** What an answer holds, for the document of the API: no schema where there is no content. */
export interface AnswerDescription {
  readonly description: string;
  readonly schema?: z.ZodType;
  readonly contentType?: string;
  /** Header fields that it bears, each with what it says. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** For people who read the document of the API. */
export interface RouteDescription {
  readonly summary: string;
  readonly details?: string;
  /** By status. */
  readonly answers: Readonly<Record<number, AnswerDescription>>;
}

/** Where a call goes. A route in code that leaves one of these out stops the start with its name. */
export interface Route {
  readonly name: string;
  /** The kinds of credential of which it demands one. */
  readonly credential: 'none' | readonly CredentialKind[];
  /**
   * `people`: an unsigned body is read too, as JSON or as a form, 64 KiB at most; `apiInput(ctx).body` has the object.
   * Without it only a signed body is read.
   */
  readonly reads?: 'people';
  /** It judges the Authorization field itself: the login, which is the only one to take any password. */
  readonly readsAuthorization?: true;
  /** The role that it asks for; `any` for whoever is authenticated. */
  readonly role: string;
  readonly idempotency: IdempotencyClass;
  /** What it takes; null where that is nothing, or is not the gateway's to read. */
  readonly schema: RouteSchema | null;
  /** What the document of the API says of it; a route of an upstream isn't in it. */
  readonly description?: RouteDescription;
  /** What a consumer does for itself: closed to the demo role. */
  readonly selfService?: true;
  /** A call by another method than GET that changes nothing: open to the public demo key. */
  readonly changesNothing?: true;
  /** Its answer holds a secret. */
  readonly issuesSecret?: true;
  /** Whether conditional, range and preference fields must be covered: on the gateway's own API. */
  readonly conditions: boolean;
  /** Whether `%2f` may stand in the path. */
  readonly encodedSlash: boolean;
  /** What stands where nothing is served: it answers 404 or 405 to whomever, and looks at no token or password. */
  readonly unrouted?: true;
  /** Of routes to upstreams: whether callers show a certificate there. `required`: they must. */
  readonly clientCertificate?: 'optional' | 'required';
  /** Answers whatever the Host, unauthenticated: for load balancers. */
  readonly probe?: true;
  answer(ctx: Context): void | Promise<void>;
}

export class CallState {
  readonly requestId: string;
  /** The peer, or what a trusted proxy says it is. */
  address = '';
  /** A loopback peer that isn't a trusted proxy, with no forwarding header, at a loopback origin: what it reads stays here. */
  loopback = false;
  /** The same, or whoever reaches the admin port: may see details, which need not stay on this machine. */
  local = false;
  /** What the connection has shown of a client certificate, as far as that counts at a second. */
  certificate: CertificateAt = NO_CERTIFICATE;
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
  /** Quotas that the call is to be charged to as soon as its nonce is claimed. */
  owed: readonly Quota[] | undefined;
  /** What was left of its quotas once it was charged. */
  quota: QuotaVerdict | undefined;
  consumer: string | undefined;
  /** The consumer's pseudonymous id, for the audit record. */
  actor = '';
  context: SecurityContext | undefined;
  /** Set where no signature but a token, a session or a password says who calls. */
  person: Person | undefined;
  /** Whether 100 Continue was sent. */
  continued = false;
  body: Buffer = EMPTY;
  /** The object in an unsigned body, where the route reads it. */
  form: unknown = undefined;
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

/** Whether a route lets a caller in by this kind of credential. */
export function takes({ credential }: Route, kind: CredentialKind): boolean {
  return credential !== 'none' && credential.includes(kind);
}

/** The authenticated caller; routes that demand a credential always have one. */
export function callerOf(ctx: Context): SecurityContext {
  if (!ctx.state.context) throw new Error(`the route ${ctx.state.route.name} was answered without a caller`);
  return ctx.state.context;
}
