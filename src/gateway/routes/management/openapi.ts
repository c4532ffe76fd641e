/**
 * The document of the API (OpenAPI 3.1), made from the routes themselves and the schemas that check their input.
 * @module
 */
import { z } from 'zod';
import { SESSION_COOKIE } from '../../../accounts/session.ts';
import {
  type AnswerDescription,
  type CredentialKind,
  type Route,
  type RouteDescription,
  takes,
} from '../../call.ts';
import type { PatternRoute } from '../pattern-routes.ts';
import { problemDocument } from './schemas.ts';

type Json = Readonly<Record<string, unknown>>;

export interface Operation extends Json {
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly 'x-countersign-role': string;
  readonly parameters: readonly Json[];
  readonly requestBody?: Json;
  readonly responses: Readonly<Record<string, Json>>;
}

export interface ApiDocument extends Json {
  readonly openapi: '3.1.0';
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  /** By path and method in lower case. */
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

/** That of the paths. */
const API_VERSION = '1';

const SIGNING =
  `HTTP Message Signatures (RFC 9421) with hmac-sha256: the fields Signature-Input and Signature, made with the
key's secret. The signature covers @method and @target-uri; with a body content-digest (RFC 9530) and content-type too;
and, where they are present, idempotency-key, countersign-narrow, content-encoding, if-match, if-none-match, range and
prefer. Its parameters are created, expires (at most 300 s later), nonce, keyid and tag="countersign-request-v1". The
answer is signed with the same key, under tag="countersign-response-v1" and the request's nonce.`.replaceAll(
    '\n',
    ' ',
  );

const SECURITY_SCHEMES: Readonly<Record<CredentialKind, Json>> = {
  signature: { type: 'apiKey', in: 'header', name: 'Signature', description: SIGNING },
  bearer: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'The access token of a login, good for ten minutes.',
  },
  cookie: {
    type: 'apiKey',
    in: 'cookie',
    name: SESSION_COOKIE,
    description: 'The session of a login by a form. A change needs Origin and Countersign-Csrf too.',
  },
  basic: {
    type: 'http',
    scheme: 'basic',
    description:
      'E-mail address and password, for accounts without a second factor and without a role that asks for one.',
  },
};

const CSRF = {
  name: 'Countersign-Csrf',
  in: 'header',
  required: false,
  description: "With a session cookie: the session's token, which the login answers, and /v1/whoami.",
  schema: { type: 'string' },
};

const NARROW = {
  name: 'Countersign-Narrow',
  in: 'header',
  required: false,
  description: 'Roles between commas: the call has these alone.',
  schema: { type: 'string' },
};

const IDEMPOTENCY_KEY = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description:
    'A string in double quotes. A later call under the same key changes nothing and gets the first result, also where it is signed afresh. Without it, the very same signed message sent again does; a call that is not signed must bear it, unless the route is open to anybody.',
  schema: { type: 'string', pattern: '^"[^"]{1,255}"$' },
};

const SECRET_KEY = {
  ...IDEMPOTENCY_KEY,
  description:
    'A string in double quotes. The answer holds a secret, and is kept only under such a key: a later call under it gets the same answer.',
};

/** @throws where a route says nothing of itself: it stops the start with its name. */
export function apiDocument(routes: readonly PatternRoute[]): ApiDocument {
  const paths: Record<string, Record<string, Operation>> = {};
  for (const { method, path, route } of routes) {
    const methods = paths[path] ?? {};
    methods[method.toLowerCase()] = operationOf(method, path, route);
    paths[path] = methods;
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Countersign',
      version: API_VERSION,
      description:
        'The API of the gateway itself. What goes to upstreams is not in it. Services sign their calls; people log in (POST /v1/login) and send the access token as Authorization: Bearer, or the cookie of a session. Each call says which of these it takes.',
    },
    paths,
    components: {
      schemas: { Problem: jsonSchema(problemDocument, 'output') },
      securitySchemes: SECURITY_SCHEMES,
    },
  };
}

function operationOf(method: PatternRoute['method'], path: string, route: Route): Operation {
  const { name, credential, role, idempotency, schema, description } = route;
  if (!description) throw new Error(`the route ${name} has no description`);
  const remembers = idempotency === 'nonce' || idempotency === 'key';
  return {
    operationId: name,
    tags: [tagOf(path)],
    summary: description.summary,
    ...(description.details !== undefined && { description: description.details }),
    'x-countersign-role': role,
    security: credential === 'none' ? [] : credential.map((kind) => ({ [kind]: [] })),
    parameters: [
      ...pathParameters(path),
      ...queryParameters(schema?.query),
      ...(credential === 'none' ? [] : [NARROW]),
      ...(takes(route, 'cookie') && method !== 'GET' ? [CSRF] : []),
      ...(remembers ? [route.issuesSecret ? SECRET_KEY : IDEMPOTENCY_KEY] : []),
    ],
    ...(schema?.body && { requestBody: requestBody(schema.body, bodyTypes(route)) }),
    responses: responsesOf(description, remembers),
  };
}

/** The noun: `consumers` of `/v1/consumers/{name}`. */
function tagOf(path: string): string {
  return path.startsWith('/v1/') ? (path.split('/')[2] as string) : 'gateway';
}

function pathParameters(path: string): Json[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
}

function queryParameters(query: z.ZodObject | undefined): Json[] {
  return Object.entries((query?.shape ?? {}) as Record<string, z.ZodType>).map(([name, schema]) => {
    const { description, ...rest } = jsonSchema(schema, 'input');
    return {
      name,
      in: 'query',
      required: !schema.safeParse(undefined).success,
      ...(description !== undefined && { description }),
      schema: rest,
    };
  });
}

function requestBody(schema: z.ZodType, types: readonly string[]): Json {
  const content = { schema: jsonSchema(schema, 'input') };
  return {
    required: !schema.safeParse(undefined).success,
    content: Object.fromEntries(types.map((type) => [type, content])),
  };
}

/** What people alone fill in may come as a form. */
function bodyTypes(route: Route): readonly string[] {
  const json = 'application/json';
  const isForm = route.reads === 'people' && !takes(route, 'signature');
  return isForm ? [json, 'application/x-www-form-urlencoded'] : [json];
}

function responsesOf({ answers }: RouteDescription, remembers: boolean): Record<string, Json> {
  const responses: Record<string, Json> = {};
  for (const [status, answer] of Object.entries(answers)) responses[status] = responseOf(answer, remembers);
  responses.default = {
    description: 'A refusal (RFC 9457); `code` says which.',
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
  };
  return responses;
}

function responseOf(
  { description, schema, contentType = 'application/json', headers = {} }: AnswerDescription,
  remembers: boolean,
): Json {
  const told = {
    ...headers,
    ...(remembers && { 'Idempotent-Replayed': 'true where this is the result of an earlier call.' }),
  };
  const hasContent = schema !== undefined || contentType !== 'application/json';
  return {
    description,
    ...(Object.keys(told).length > 0 && {
      headers: Object.fromEntries(
        Object.entries(told).map(([name, text]) => [name, { description: text, schema: { type: 'string' } }]),
      ),
    }),
    ...(hasContent && {
      content: { [contentType]: { schema: schema ? jsonSchema(schema, 'output') : { type: 'string' } } },
    }),
  };
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io });
  return rest;
}
