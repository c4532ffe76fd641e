/**
 * Reading a request from a HAR (HTTP Archive 1.2): a whole file, one of its entries, or the `request` of one.
 * @module
 */
import { Fields } from '../../signatures/fields.ts';
import {
  checkMethod,
  FIELD_VALUE,
  type RecordedAnswer,
  type RecordedRequest,
  readTarget,
  TOKEN,
  unreadable,
} from './recorded-request.ts';

type Json = Readonly<Record<string, unknown>>;

const MOST_LINES = 256;
const MOST_LISTED = 12;

/**
 * @param entry which request, counted from 1. Without it, the only one, or the only one that bears our tag.
 * @throws `request-invalid`
 */
export function readHar(text: string, entry?: number): RecordedRequest {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw unreadable('it begins like JSON and is not JSON; a HAR is');
  }
  const chosen = choose(object(document, 'the file'), entry);
  const request = object(chosen.request ?? chosen, 'the request');
  const notes: string[] = [];
  const { target, origin } = readTarget(string(request.url, 'url').split('#', 1)[0] as string);
  if (!origin) throw unreadable('its "url" is not a whole http or https URL');
  return {
    method: checkMethod(string(request.method, 'method')),
    target,
    origin,
    lines: readLines(request.headers, origin.authority),
    body: readPostData(request, notes),
    answer: chosen.response === undefined ? undefined : readAnswer(chosen.response),
    notes,
  };
}

function choose(document: Json, entry: number | undefined): Json {
  const log = document.log === undefined ? undefined : object(document.log, '"log"');
  if (!log) {
    if (entry !== undefined && entry !== 1) throw unreadable(`it holds one request, not ${entry}`);
    return document;
  }
  if (!Array.isArray(log.entries)) throw unreadable('its "log" has no list of "entries"');
  const entries: readonly unknown[] = log.entries;
  if (entry === undefined && entries.length > 1) {
    const signed = entries.filter(isSigned);
    if (signed.length === 1) return object(signed[0], 'the entry');
    throw unreadable(`it holds ${entries.length} requests; choose one with --entry N:\n${listed(entries)}\n`);
  }
  const found = entries[(entry ?? 1) - 1];
  if (found === undefined)
    throw unreadable(`it holds ${entries.length} requests, and no number ${entry ?? 1}`);
  return object(found, `entry ${entry ?? 1}`);
}

function isSigned(entry: unknown): boolean {
  const { headers } = requestOf(entry);
  if (!Array.isArray(headers)) return false;
  return headers.some(
    (each: { name?: unknown; value?: unknown } | null) =>
      plain(each?.name).toLowerCase() === 'signature-input' &&
      plain(each?.value).includes('countersign-request-v1'),
  );
}

/** Objects from JSON may bear a `toString` of their own. */
const plain = (value: unknown) => (typeof value === 'string' ? value : '?');

function requestOf(entry: unknown): Json {
  return ((entry as Json | null)?.request ?? {}) as Json;
}

function listed(entries: readonly unknown[]): string {
  const lines = entries.slice(0, MOST_LISTED).map((entry, i) => {
    const { method, url } = requestOf(entry);
    // Queries hold tokens often enough to keep them out of a message.
    const where = plain(url).split('?', 1)[0]?.slice(0, 120);
    return `  ${i + 1}  ${plain(method).slice(0, 20)} ${where}${isSigned(entry) ? '  (signed)' : ''}`;
  });
  if (entries.length > MOST_LISTED) lines.push(`  … up to ${entries.length}`);
  return lines.join('\n').replace(/[^\n\P{Cc}]/gu, ' ');
}

function readLines(headers: unknown, authority: string): [string, string][] {
  const lines = readHeaders(headers);
  const pseudo = lines.find(([name]) => name === ':authority')?.[1];
  const fields = lines.filter(([name]) => !name.startsWith(':'));
  if (!fields.some(([name]) => name.toLowerCase() === 'host')) fields.unshift(['Host', pseudo ?? authority]);
  return fields;
}

function readHeaders(headers: unknown): [string, string][] {
  if (!Array.isArray(headers)) throw unreadable('its "headers" are not a list');
  const lines: [string, string][] = [];
  for (const each of headers) {
    const { name, value } = object(each, 'a header field');
    const field = string(name, 'name of a header field');
    if (!TOKEN.test(field.replace(/^:/, '')))
      throw unreadable(`${JSON.stringify(field)} is not a field name`);
    // Browsers write the lines of a repeated field into one value, with line breaks between them.
    for (const line of string(value, `value of ${field}`).split('\n')) {
      if (!FIELD_VALUE.test(line)) throw unreadable(`the value of ${field} holds what no header field can`);
      lines.push([field, line]);
    }
    if (lines.length > MOST_LINES) throw unreadable(`it has more than ${MOST_LINES} header lines`);
  }
  return lines;
}

function readPostData({ postData, bodySize }: Json, notes: string[]): Buffer {
  const body = postData === undefined || postData === null ? Buffer.alloc(0) : bytesOf(postData, notes);
  if (typeof bodySize === 'number' && bodySize >= 0 && bodySize !== body.length) {
    notes.push(
      `The HAR says that the body had ${bodySize} bytes, and holds ${body.length}: it was recorded as text, perhaps not to the byte.`,
    );
  }
  return body;
}

function bytesOf(postData: unknown, notes: string[]): Buffer {
  const { text, params, encoding } = object(postData, '"postData"');
  if (text !== undefined) return decode(string(text, 'text of postData'), encoding);
  if (!Array.isArray(params)) return Buffer.alloc(0);
  notes.push(
    'The body was built anew from the parameters in the HAR; it may not be what was sent to the byte.',
  );
  const pairs = params.map((each): [string, string] => {
    const { name, value } = object(each, 'a parameter');
    return [string(name, 'name of a parameter'), value === undefined ? '' : string(value, 'value')];
  });
  return Buffer.from(new URLSearchParams(pairs).toString());
}

function decode(text: string, encoding: unknown): Buffer {
  return Buffer.from(text, encoding === 'base64' ? 'base64' : 'utf8');
}

/** An answer that can't be read is as none: it only saves asking. */
function readAnswer(response: unknown): RecordedAnswer | undefined {
  try {
    const { status, headers, content } = object(response, '"response"');
    if (typeof status !== 'number' || status < 100) return undefined;
    const { text = '', encoding } = object(content ?? {}, '"content"');
    const fields = Fields.fromEntries(readHeaders(headers).filter(([name]) => !name.startsWith(':')));
    return { status, fields, body: decode(string(text, 'text of the answer'), encoding) };
  } catch {
    return undefined;
  }
}

function object(value: unknown, what: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw unreadable(`${what} is not a JSON object`);
}

function string(value: unknown, what: string): string {
  if (typeof value === 'string') return value;
  throw unreadable(`its "${what}" is missing, or not a string`);
}
