/**
 * A request that the profile allows, and ways to change one thing about it.
 * @module
 */
import { contentDigest } from '../../src/signatures/content-digest.ts';
import { CountersignError, Fields, type RequestMessage, secretKey } from '../../src/signatures/index.ts';
import { type PresentedRequest, presentRequest } from '../../src/signatures/verify-request.ts';

export const NOW = 1_790_000_000;
export const LIFE = { maxLife: 300, skew: 30 };
export const SECRET = secretKey(Buffer.alloc(64, 7));
export const BODY = '{"apples":3}';

/** Signature parameters as text, in the order in which they are sent; undefined leaves one out. */
export const PARAMETERS: Readonly<Record<string, string | undefined>> = {
  created: String(NOW),
  expires: String(NOW + 60),
  nonce: '"0123456789abcdefghijkl"',
  keyid: '"orders-1"',
  tag: '"countersign-request-v1"',
};

/** What may be changed about a request. `fields` and `parameters` are laid over those of the allowed one. */
export interface Changes {
  readonly method?: string;
  readonly target?: string;
  /** A list of lines sends the field several times; undefined leaves it out. */
  readonly fields?: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Serialised components, in place of the default ones. */
  readonly covered?: readonly string[];
  /** Serialised components beside the default ones. */
  readonly alsoCovered?: readonly string[];
  readonly parameters?: Readonly<Record<string, string | undefined>>;
  /** Whole fields in place of those that follow from the rest. */
  readonly signatureInput?: string | readonly string[];
  readonly signature?: string | readonly string[];
  /** Whether this is the management API. */
  readonly conditions?: boolean;
}

export const MAC = `:${Buffer.alloc(32, 1).toString('base64')}:`;
export const WITHOUT_BODY = ['"@method"', '"@target-uri"'];
export const WITH_BODY = [...WITHOUT_BODY, '"content-digest"', '"content-type"'];

/** The value of Signature-Input's member: `("@method" …);created=…`. */
export function innerList(covered: readonly string[], parameters: Changes['parameters'] = {}): string {
  const given = Object.entries({ ...PARAMETERS, ...parameters }).filter(([, value]) => value !== undefined);
  return `(${covered.join(' ')})${given.map(([key, value]) => `;${key}=${value}`).join('')}`;
}

/** A POST with a JSON body. */
export function post(changes: Changes = {}): RequestMessage {
  return message(WITH_BODY, changes, {
    host: 'api.example',
    'content-type': 'application/json',
    'content-length': String(BODY.length),
    'content-digest': contentDigest(BODY),
  });
}

/** A GET without a body. */
export function get(changes: Changes = {}): RequestMessage {
  return message(WITHOUT_BODY, { method: 'GET', ...changes }, { host: 'api.example' });
}

function message(covered: readonly string[], changes: Changes, base: Record<string, string>): RequestMessage {
  const list = [...(changes.covered ?? covered), ...(changes.alsoCovered ?? [])];
  const all: Changes['fields'] = {
    ...base,
    ...changes.fields,
    'signature-input': changes.signatureInput ?? `cs=${innerList(list, changes.parameters)}`,
    signature: changes.signature ?? `cs=${MAC}`,
  };
  return {
    method: changes.method ?? 'POST',
    scheme: 'https',
    authority: 'api.example',
    target: changes.target ?? '/orders?state=open',
    fields: fieldsOf(all),
  };
}

export function fieldsOf(all: NonNullable<Changes['fields']>): Fields {
  const fields = new Fields();
  for (const [name, value] of Object.entries(all)) {
    for (const line of value === undefined ? [] : [value].flat()) fields.append(name, line);
  }
  return fields;
}

export function present(request: RequestMessage, conditions = false, now = NOW): PresentedRequest {
  return presentRequest(request, LIFE, { conditions }, now);
}

/** The refusal that `act` ends in; anything else that it throws is a fault and goes on. */
export function refusalOf(act: () => unknown): CountersignError {
  try {
    act();
  } catch (error) {
    if (error instanceof CountersignError) return error;
    throw error;
  }
  throw new Error('It was accepted.');
}
