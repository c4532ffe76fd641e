/**
 * Routes of the API that only read: what they take is checked, what they answer is sent as JSON.
 * @module
 */
import type { Authorized } from '../../security/authorize.ts';
import { authorize } from '../../security/authorize.ts';
import {
  type Context,
  type CredentialKind,
  callerOf,
  type Route,
  type RouteDescription,
  type RouteSchema,
  SIGNED,
} from '../call.ts';
import { type ApiInput, apiInput, type Checked, checkInput } from './api-input.ts';
import { sendJson } from './own.ts';

export interface ReadCall<S extends RouteSchema, Role extends string> extends Checked<S> {
  readonly params: ApiInput['params'];
  readonly context: Authorized<Role>;
}

export interface Reader<S extends RouteSchema, Role extends string> {
  /** `noun.verb`. */
  readonly name: string;
  readonly role: Role;
  readonly schema: S;
  readonly description: RouteDescription;
  /** Who is let in; services alone where it isn't said. */
  readonly credential?: readonly CredentialKind[];
  /** What a consumer reads of itself. */
  readonly selfService?: true;
  /** @returns what is sent, and perhaps the entity tag of its state. */
  read(call: ReadCall<S, Role>): Reading | Promise<Reading>;
}

interface Reading {
  readonly body: unknown;
  readonly etag?: string;
}

export function readerRoute<S extends RouteSchema, Role extends string>(reader: Reader<S, Role>): Route {
  const { read, ...declared } = reader;
  return {
    credential: SIGNED,
    ...declared,
    idempotency: 'none',
    conditions: true,
    encodedSlash: false,
    answer: (ctx) => answer(ctx, reader),
  };
}

async function answer<S extends RouteSchema, Role extends string>(
  ctx: Context,
  reader: Reader<S, Role>,
): Promise<void> {
  const input = apiInput(ctx);
  const context = authorize(callerOf(ctx), reader.role);
  const call = { ...checkInput(reader.schema, input), params: input.params, context };
  const { body, etag } = await reader.read(call);
  if (etag !== undefined) {
    ctx.set('ETag', etag);
    // RFC 9110 section 13.1.2: who has this already gets it no more.
    if (input.ifNoneMatch !== undefined && namesTag(input.ifNoneMatch, etag)) {
      ctx.status = 304;
      return;
    }
  }
  sendJson(ctx, body);
}

/** Whether a condition names the tag (RFC 9110 section 8.8.3.2, weak comparison), or any. */
function namesTag(condition: string, etag: string): boolean {
  if (condition.trim() === '*') return true;
  return condition.split(',').some((each) => each.trim().replace(/^W\//, '') === etag);
}
