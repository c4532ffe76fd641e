/**
 * Signed requests as files hold them, by signers that may differ from RFC 9421, and what `explain` says of them.
 * @module
 */
import { type Explanation, explain } from '../../src/client/explain/diagnosis.ts';
import type { GatewayAnswer } from '../../src/client/explain/gateway-answer.ts';
import { messageOf } from '../../src/client/explain/recorded-request.ts';
import { readRawRequest } from '../../src/client/explain/request-file.ts';
import { draftRequest, prepareRequest, signingKey } from '../../src/client/index.ts';
import { hmacSha256, secretKey } from '../../src/signatures/hmac.ts';
import { component, Fields } from '../../src/signatures/index.ts';

export const NOW = 1_800_000_000;
export const SECRET = Buffer.alloc(64, 7);
const KEY = signingKey({ keyid: 'shop', secret: SECRET });

export interface Draft {
  readonly method?: string;
  readonly target?: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: string;
  readonly cover?: readonly string[];
  readonly created?: number;
  /** The base that the signer makes of the right one. */
  readonly base?: (base: string) => string;
  /** The key that the signer makes of the right one. */
  readonly key?: Buffer;
  /** How the signer writes its MAC. */
  readonly mac?: (mac: Buffer) => Buffer;
}

/** A signed request as a file holds it; its signer may differ from RFC 9421 in its base, its key or its MAC. */
export function file(draft: Draft = {}): string {
  const { method = 'GET', target = '/orders', headers = [], body, cover, created = NOW } = draft;
  const parts = {
    method,
    origin: 'https://api.example',
    target,
    headers: Fields.fromEntries(headers).entries(),
  };
  const drafted = draftRequest(body === undefined ? parts : { ...parts, body });
  const components = cover?.map(component);
  const prepared = prepareRequest(drafted, KEY, { created, ...(components && { components }) });
  const { fields } = prepared.message;
  const base = draft.base?.(prepared.base) ?? prepared.base;
  const mac = hmacSha256(secretKey(draft.key ?? SECRET), base);
  fields.set('signature', `cs=:${(draft.mac?.(mac) ?? mac).toString('base64')}:`);
  const kept = [...fields.entries()].filter(
    ([name]) => !headers.some(([each]) => each.toLowerCase() === name),
  );
  const lines = [['Host', 'api.example'], ...headers, ...kept].map(([name, value]) => `${name}: ${value}\n`);
  return `${method} ${target} HTTP/1.1\n${lines.join('')}\n${body ?? ''}`;
}

interface Given {
  readonly answer?: GatewayAnswer;
  readonly now?: number;
  readonly authorities?: readonly string[];
}

export function explained(text: string, { answer, now = NOW, authorities = [] }: Given = {}): Explanation {
  const recorded = readRawRequest(Buffer.from(text));
  return explain({ recorded, message: messageOf(recorded), key: KEY, answer, now, authorities });
}

export const codes = ({ causes }: Explanation) => causes.map(({ code }) => code);
