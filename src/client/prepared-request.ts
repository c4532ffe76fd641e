/**
 * A request that is signed and ready to be sent, once or (to show what comes of it) again.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { CountersignError } from '../errors.ts';
import type { Component, RequestMessage } from '../signatures/components.ts';
import { Fields } from '../signatures/fields.ts';
import { component, defaultComponents, signRequest } from '../signatures/sign.ts';
import { MOST_COMPONENTS } from '../signatures/signature-input.ts';
import type { SigningKey } from './credentials.ts';
import type { RequestDraft } from './request-draft.ts';

export interface PreparedRequest {
  /** As it is sent, signature fields included; Host, Content-Length and Connection are added by the transport. */
  readonly message: RequestMessage;
  readonly body: Buffer;
  readonly key: SigningKey;
  readonly components: readonly Component[];
  /** Whole seconds since the epoch, both. */
  readonly created: number;
  readonly expires: number;
  readonly nonce: string;
  /** The signature base, for showing. */
  readonly base: string;
}

export interface PreparationOptions {
  /** Whole seconds since the epoch. */
  readonly created: number;
  /** Default: `created` + 60. */
  readonly expires?: number | undefined;
  /** Default: 24 random bytes in base64url. */
  readonly nonce?: string | undefined;
  /** Default: the method, the target, and every field but those that are rewritten on the way. */
  readonly components?: readonly Component[] | undefined;
}

export const DEFAULT_LIFE = 60;

export function randomNonce(): string {
  return randomBytes(24).toString('base64url');
}

/** @throws `request-invalid` where more would have to be covered than a signature may cover. */
export function prepareRequest(
  { message, body }: RequestDraft,
  key: SigningKey,
  { created, expires = created + DEFAULT_LIFE, nonce = randomNonce(), components }: PreparationOptions,
): PreparedRequest {
  const covering = components ?? coverage(message);
  const signed = signRequest(message, {
    keyid: key.keyid,
    secret: key.secret,
    created,
    expires,
    nonce,
    components: covering,
  });
  const fields = Fields.fromEntries(message.fields.entries());
  fields.set('signature-input', signed.signatureInput);
  fields.set('signature', signed.signature);
  return {
    message: { ...message, fields },
    body,
    key,
    components: covering,
    created,
    expires,
    nonce,
    base: signed.base,
  };
}

/**
 * Fields that proxies, meshes and tracers rewrite. The gateway forwards accept-language and user-agent uncovered and
 * sets traceparent itself, so that nothing is lost by leaving them open; everything else reaches an upstream only if
 * it is covered.
 */
const REWRITTEN_ON_THE_WAY =
  /^(?:accept-encoding|accept-language|user-agent|traceparent|tracestate|via|forwarded|x-forwarded-.*|x-real-ip)$/;

function coverage(message: RequestMessage): readonly Component[] {
  const components = defaultComponents(message);
  const names = new Set(components.map(({ name }) => name));
  for (const name of message.fields.names()) {
    if (!names.has(name) && !REWRITTEN_ON_THE_WAY.test(name)) components.push(component(name));
  }
  if (components.length > MOST_COMPONENTS) {
    throw new CountersignError(
      'request-invalid',
      `The request can't be signed: its signature would cover ${components.length} components, and may cover ${MOST_COMPONENTS}. Send fewer header fields.`,
    );
  }
  return components;
}
