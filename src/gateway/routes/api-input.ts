/**
 * What a call to the gateway's API brings along, and the check of all of it at once: every fault is told, those of
 * shape (zod) beside those of meaning.
 * @module
 */
import { z } from 'zod';
import type { Fault } from '../../consumers/consumer.ts';
import { CountersignError } from '../../errors.ts';
import { pathOf } from '../../signatures/components.ts';
import type { CallState, Context, RouteSchema } from '../call.ts';
import { readStrictJson } from '../json-body.ts';
import { isNarrowed } from '../middleware/authorize-call.ts';

/** Unchecked, apart from being JSON. */
export interface ApiInput {
  readonly params: Readonly<Record<string, string>>;
  /** A list where a parameter stands more than once. */
  readonly query: Readonly<Record<string, string | string[]>>;
  /** Undefined where there is none. */
  readonly body: unknown;
  readonly ifMatch: string | undefined;
  readonly ifNoneMatch: string | undefined;
  /** The call asks for fewer roles than its key grants. */
  readonly narrowed: boolean;
}

/** Throws `json-malformed`. */
export function apiInput({ state }: Context): ApiInput {
  const { target, fields } = state.message;
  return {
    params: state.params,
    query: readQuery(target.slice(pathOf(target).length + 1)),
    body: bodyOf(state),
    ifMatch: fields.get('if-match'),
    ifNoneMatch: fields.get('if-none-match'),
    narrowed: isNarrowed(state),
  };
}

/** A signed body is read here, from its exact bytes; an unsigned one was read before (gateway/form-body.ts). */
function bodyOf({ verified, body, form }: CallState): unknown {
  if (!verified) return form;
  return body.length > 0 ? readStrictJson(body) : undefined;
}

/** The text of a member of an unchecked body; empty where there is none. */
export function textMember(body: unknown, name: string): string {
  const value = (body as Readonly<Record<string, unknown>> | null | undefined)?.[name];
  return typeof value === 'string' ? value : '';
}

function readQuery(text: string): Record<string, string | string[]> {
  const query = new URLSearchParams(text);
  return Object.fromEntries(
    [...new Set(query.keys())].map((name) => {
      const values = query.getAll(name);
      return [name, values.length === 1 ? (values[0] as string) : values];
    }),
  );
}

const NOTHING = z.strictObject({});

export type Checked<S extends RouteSchema> = {
  readonly query: S['query'] extends z.ZodType ? z.output<S['query']> : Record<never, never>;
  readonly body: S['body'] extends z.ZodType ? z.output<S['body']> : undefined;
};

/** Looks at the parts that are well formed, whatever the others are like. */
export type MeaningCheck<B> = (body: Partial<B>) => readonly Fault[];

/**
 * Checks query and body.
 * @param meaning what the shape doesn't say; it is asked about the members of the body that have the right shape.
 * @throws validation-failed with every fault.
 */
export function checkInput<S extends RouteSchema>(
  schema: S,
  { query, body }: Pick<ApiInput, 'query' | 'body'>,
  meaning: MeaningCheck<Checked<S>['body']> = () => [],
): Checked<S> {
  const faults: Fault[] = [];
  const queried = (schema.query ?? NOTHING).safeParse(query, { reportInput: true });
  if (!queried.success) faults.push(...faultsOf(queried.error, 'parameter'));
  if (schema.body) {
    const read = schema.body.safeParse(body, { reportInput: true });
    if (!read.success) faults.push(...faultsOf(read.error, 'member'));
    const sound = read.success ? read.data : soundMembers(schema.body, body);
    faults.push(...meaning(sound as Partial<Checked<S>['body']>));
    if (faults.length === 0) return { query: queried.data, body: read.data } as Checked<S>;
  } else if (body !== undefined) {
    faults.push({ path: '', detail: 'this call takes no body' });
  }
  refuseInput(faults);
  return { query: queried.data, body: undefined } as Checked<S>;
}

/** `validation-failed` with these faults; nothing where there are none. */
export function refuseInput(faults: readonly Fault[]): void {
  if (faults.length === 0) return;
  const [first] = faults as [Fault];
  const more = faults.length > 1 ? `, and ${faults.length - 1} more: see errors` : '';
  throw new CountersignError(
    'validation-failed',
    `The input is not allowed: ${first.path && `${first.path}: `}${first.detail}${more}.`,
    { members: { errors: faults } },
  );
}

function soundMembers(schema: z.ZodType, body: unknown): Record<string, unknown> {
  if (!(schema instanceof z.ZodObject) || typeof body !== 'object' || body === null) return {};
  const sound: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(schema.shape as Record<string, z.ZodType>)) {
    if (!Object.hasOwn(body, name)) continue;
    const read = member.safeParse((body as Record<string, unknown>)[name]);
    if (read.success) sound[name] = read.data;
  }
  return sound;
}

function faultsOf(error: z.ZodError, what: 'parameter' | 'member'): Fault[] {
  return error.issues.flatMap((issue): Fault[] => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({
        path: pathText([...issue.path, key]),
        detail: `there is no ${what} of this name here`,
      }));
    }
    const path = pathText(issue.path);
    if (what === 'parameter' && Array.isArray(issue.input))
      return [{ path, detail: 'it stands more than once' }];
    if (issue.input !== undefined) return [{ path, detail: inWords(issue) }];
    return [{ path, detail: path === '' ? 'this call takes a body, a JSON object' : 'it is missing' }];
  });
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'a string',
  boolean: 'true or false',
  number: 'a number',
  int: 'a whole number',
  array: 'a list',
  object: 'an object',
};

/** What zod says in its own words; a schema's own message stays as it is. */
function inWords(issue: z.core.$ZodIssue): string {
  if (!issue.message.startsWith('Invalid ')) return issue.message;
  if (issue.code === 'invalid_value')
    return `it must be ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}`;
  const type = issue.code === 'invalid_type' ? TYPES[issue.expected] : undefined;
  return type === undefined ? issue.message : `it must be ${type}`;
}

/** Such as `roles[0]`. */
function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, key) => (typeof key === 'number' ? `${text}[${key}]` : `${text}${text && '.'}${String(key)}`),
    '',
  );
}
