/**
 * Reads an unsigned body for a route that asks for it: JSON or a form, by koa-body. What two readers could understand
 * differently is refused, as it is of signed bodies: names that stand twice or hold others, odd charsets and codings.
 * @module
 */
import { type HttpMethod, koaBody } from 'koa-body';
import { CountersignError } from '../errors.ts';
import type { Context } from './call.ts';
import { readStrictJson } from './json-body.ts';
import { refuseInput } from './routes/api-input.ts';

/** Bytes: more than anything that a person fills in. */
export const MOST_FORM = 64 * 1024;

const JSON_TYPE = 'application/json';
const FORM_TYPE = 'application/x-www-form-urlencoded';
const CHARSET = /;\s*charset\s*=\s*"?([^\s;"]*)/gi;
/** What a decoder puts in the place of bytes that are no UTF-8. */
const REPLACED = '\ufffd';

/** No files, nothing in parts, no plain text. Names are names, whatever dots and brackets they hold. */
const parse = koaBody({
  jsonTypes: [JSON_TYPE],
  jsonStrict: true,
  jsonLimit: MOST_FORM,
  urlencodedTypes: [FORM_TYPE],
  formLimit: MOST_FORM,
  queryString: { allowDots: false, depth: 0, parseArrays: false },
  text: false,
  multipart: false,
  includeUnparsed: true,
  // The package's enumeration names them as they are.
  parsedMethods: ['POST', 'PUT', 'PATCH', 'DELETE'] as HttpMethod[],
});

/**
 * Puts the body's bytes and its object into the state.
 * @throws json-malformed, validation-failed, body-too-large, connection-lost
 */
export async function readFormBody(ctx: Context): Promise<void> {
  const { state, request } = ctx;
  const { fields } = state.message;
  const type = checkType(fields.get('content-type') ?? '');
  if ((fields.get('content-encoding') ?? 'identity') !== 'identity')
    refuse('send it without Content-Encoding');
  try {
    await parse(ctx, async () => {});
  } catch (error) {
    throw refusalOf(error, ctx);
  }
  const { body, rawBody = '' } = request;
  if (rawBody === '') return;
  if (rawBody.includes(REPLACED)) refuse('it is not UTF-8');
  state.body = Buffer.from(rawBody);
  if (type === JSON_TYPE) readStrictJson(state.body);
  else {
    refuseJson(rawBody);
    checkForm(rawBody, (body ?? {}) as Readonly<Record<string, unknown>>);
  }
  state.form = body;
}

/** Above the limit by its own account: nothing of it is read. */
export function tooLarge(mostBytes: number): CountersignError {
  const detail = `The body is larger than ${mostBytes} bytes; send less at a time.`;
  return new CountersignError('body-too-large', detail, { headers: { Connection: 'close' } });
}

export function gone(): CountersignError {
  return new CountersignError('connection-lost', 'The connection ended before the body did.');
}

function checkType(field: string): string {
  const type = (field.split(';', 1)[0] as string).trim().toLowerCase();
  if (type !== JSON_TYPE && type !== FORM_TYPE) {
    refuse(`send it as ${JSON_TYPE} or ${FORM_TYPE}, and say so in Content-Type`);
  }
  for (const [, charset = ''] of field.matchAll(CHARSET)) {
    if (charset.toLowerCase() !== 'utf-8') refuse('send it in UTF-8');
  }
  return type;
}

/** What curl sends of JSON that nobody called so: its one name would be the whole text, password and all. */
function refuseJson(text: string): void {
  if (!text.trimStart().startsWith('{')) return;
  refuseInput([{ path: '', detail: `it looks like JSON: send it with Content-Type: ${JSON_TYPE}` }]);
}

/** A second reader, that of browsers (WHATWG URL, section 5.1), must find the same names with the same values. */
function checkForm(text: string, form: Readonly<Record<string, unknown>>): void {
  const pairs = [...new URLSearchParams(text)];
  const isSame =
    pairs.length === Object.keys(form).length &&
    pairs.every(([name, value]) => Object.hasOwn(form, name) && form[name] === value);
  if (!isSame) refuse('each name may stand in it once, with one value, percent-encoded as UTF-8');
}

function refuse(why: string): void {
  refuseInput([{ path: '', detail: `the body can't be read in one way only: ${why}` }]);
}

/** What koa-body throws, in our own words: its messages quote the body, which may hold a password. */
function refusalOf(error: unknown, { req }: Context): unknown {
  const { status, type } = error as { readonly status?: number; readonly type?: string };
  if (status === 413) return tooLarge(MOST_FORM);
  // One that was read to its end is destroyed too.
  if (type === 'request.aborted' || !req.complete) return gone();
  if (status === 400) {
    return new CountersignError(
      'json-malformed',
      'The body is not a JSON object, or holds a name that none may have (__proto__).',
    );
  }
  return error;
}
