/**
 * Cassettes: signed exchanges as JSON Lines, a header and then one exchange a line. What is read is held against
 * every rule, since what the parser let through would be put on the wire.
 * @module
 */
import { isUtf8 } from 'node:buffer';
import { readFileSync, statSync } from 'node:fs';
import { CountersignError } from '../errors.ts';
import { Fields } from '../signatures/fields.ts';

/** Field names and values in the order of the wire. */
export type HeaderLines = readonly (readonly [name: string, value: string])[];

/** A request as it was sent. */
export interface RecordedRequest {
  readonly method: string;
  readonly target: string;
  /** All of them, Host and the signature included. */
  readonly lines: HeaderLines;
  /** The same by lower-case name. */
  readonly fields: Fields;
  readonly body: Buffer;
}

/** A response as it was received. */
export interface RecordedResponse {
  readonly status: number;
  readonly lines: HeaderLines;
  readonly fields: Fields;
  readonly body: Buffer;
  /** The code where the gateway itself refused the call, such as `nonce-replayed`. */
  readonly refusal: string | undefined;
}

export interface RecordedExchange {
  /** When the gateway judged the request, by its own clock: whole seconds since the epoch. */
  readonly at: number;
  /** Scheme and authority that the request named, such as `https://api.example.com`. */
  readonly origin: string;
  readonly request: RecordedRequest;
  readonly response: RecordedResponse;
}

export interface Cassette {
  readonly file: string;
  readonly exchanges: readonly RecordedExchange[];
  /** The origins that its requests named, each once. */
  readonly origins: readonly string[];
}

/** The first line of every cassette. */
export const CASSETTE_HEADER = '{"cassette":"countersign","version":1}\n';
/** Bytes. */
export const MOST_CASSETTE = 64 * 1024 * 1024;
const MOST_EXCHANGES = 100_000;
const MOST_LINES = 2000;
/** 9999-12-31T23:59:59Z. */
const MOST_TIME = 253_402_300_799;

const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}$/;
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const TARGET = /^[\x21-\x7e]+$/;
/** Answers may bear bytes above ASCII, which Node reads as Latin-1. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** An exchange as it is read from a message, before it is completed by what can be derived from it. */
export type RawExchange = Pick<RecordedExchange, 'at' | 'origin'> & {
  readonly request: Omit<RecordedRequest, 'fields'>;
  readonly response: Omit<RecordedResponse, 'fields' | 'refusal'>;
};

/** One line of a cassette, with its line break. */
export function formatExchange({ at, origin, request, response }: RawExchange): string {
  const { method, target } = request;
  const line = {
    at,
    origin,
    request: { method, target, headers: request.lines, body: formatBody(request.body) },
    response: { status: response.status, headers: response.lines, body: formatBody(response.body) },
  };
  return `${JSON.stringify(line)}\n`;
}

/** Text stays readable, for whoever reviews a cassette; other bytes are base64. */
function formatBody(body: Buffer): string | { readonly base64: string } {
  return isUtf8(body) ? body.toString() : { base64: body.toString('base64') };
}

/**
 * Reads a cassette that `record()` wrote.
 * @throws `cassette-invalid`, with the file, the line and what is wrong with it.
 */
export function readCassette(file: string): Cassette {
  let bytes: Buffer;
  try {
    const { size } = statSync(file);
    if (size > MOST_CASSETTE) throw new Error(`it is longer than ${MOST_CASSETTE} bytes`);
    bytes = readFileSync(file);
  } catch (error) {
    throw invalid(`The cassette ${file} can't be read: ${(error as Error).message}.`, error);
  }
  if (!isUtf8(bytes)) throw invalid(`The cassette ${file} is not UTF-8.`);
  const exchanges = parseCassette(bytes.toString(), file);
  return { file, exchanges, origins: [...new Set(exchanges.map(({ origin }) => origin))] };
}

/** @param file for messages. */
export function parseCassette(text: string, file: string): RecordedExchange[] {
  const [header, ...lines] = text.split('\n');
  if (`${header}\n` !== CASSETTE_HEADER) {
    throw invalid(`${file} is not a cassette of this version: it must begin with ${CASSETTE_HEADER.trim()}`);
  }
  // The last line ends in a line break, too.
  if (lines.at(-1) === '') lines.pop();
  if (lines.length > MOST_EXCHANGES) throw invalid(`${file} holds more than ${MOST_EXCHANGES} exchanges.`);
  return lines.map((line, index) => {
    try {
      return parseExchange(line);
    } catch (error) {
      throw invalid(`${file}, line ${index + 2}: ${(error as Error).message}.`, error);
    }
  });
}

/** @throws an `Error` that says what is wrong with the line. */
export function parseExchange(line: string): RecordedExchange {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Error('it is not JSON; was the end cut off, or a line wrapped?');
  }
  const parts = members(value, 'an exchange', ['at', 'origin', 'request', 'response']);
  const { method, target, headers, body } = members(parts.request, '"request"', [
    'method',
    'target',
    'headers',
    'body',
  ]);
  const answer = members(parts.response, '"response"', ['status', 'headers', 'body']);
  const origin = readOrigin(parts.origin);
  const lines = readLines(headers, 'request.headers');
  const hosts = lines.filter(([name]) => name.toLowerCase() === 'host');
  demand(
    hosts.length === 1 && `${new URL(origin).protocol}//${hosts[0]?.[1]}` === origin,
    'Host in "request.headers" must stand once, and be that of "origin"',
  );
  const responseLines = readLines(answer.headers, 'response.headers');
  const responseFields = Fields.fromEntries(responseLines);
  return {
    at: readInteger(parts.at, 0, MOST_TIME, '"at" must be whole seconds since the epoch'),
    origin,
    request: {
      method: readText(method, METHOD, '"request.method" must be a method'),
      target: readText(target, TARGET, '"request.target" must be printable ASCII without spaces'),
      lines,
      fields: Fields.fromEntries(lines),
      body: readBody(body, 'request.body'),
    },
    response: {
      status: readInteger(answer.status, 100, 599, '"response.status" must be a status'),
      lines: responseLines,
      fields: responseFields,
      body: readBody(answer.body, 'response.body'),
      refusal: responseFields.get('countersign-refusal'),
    },
  };
}

/** An object with exactly these members. */
function members<K extends string>(value: unknown, what: string, names: readonly K[]): Record<K, unknown> {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  const given = isObject ? Object.keys(value) : [];
  demand(
    given.length === names.length && names.every((name) => given.includes(name)),
    `${what} must be an object with the members ${names.join(', ')}, and no others`,
  );
  return value as Record<K, unknown>;
}

function readLines(value: unknown, what: string): HeaderLines {
  demand(
    Array.isArray(value) && value.length <= MOST_LINES,
    `"${what}" must be a list, ${MOST_LINES} at most`,
  );
  for (const line of value as unknown[]) {
    const isPair = Array.isArray(line) && line.length === 2;
    demand(isPair, `"${what}" must be a list of pairs of name and value`);
    const [name, text] = line as unknown[];
    demand(typeof name === 'string' && NAME.test(name), `"${what}" holds something that is no field name`);
    demand(
      typeof text === 'string' && VALUE.test(text),
      `"${what}" holds a value of ${name} that can't be sent`,
    );
  }
  return value as HeaderLines;
}

function readBody(value: unknown, what: string): Buffer {
  if (typeof value === 'string') {
    const bytes = Buffer.from(value);
    demand(bytes.toString() === value, `"${what}" holds half a character`);
    return bytes;
  }
  const { base64 } = members(value, `"${what}" is neither text, nor`, ['base64']);
  const bytes = typeof base64 === 'string' ? Buffer.from(base64, 'base64') : undefined;
  demand(
    bytes !== undefined && bytes.toString('base64') === base64,
    `"${what}.base64" must be padded base64`,
  );
  return bytes as Buffer;
}

function readOrigin(value: unknown): string {
  const detail = '"origin" must be an origin such as https://api.example.com, in lower case';
  demand(typeof value === 'string' && /^https?:\/\//.test(value) && URL.canParse(value), detail);
  demand(new URL(value as string).origin === value, detail);
  return value as string;
}

function readText(value: unknown, pattern: RegExp, detail: string): string {
  demand(typeof value === 'string' && pattern.test(value), detail);
  return value as string;
}

function readInteger(value: unknown, least: number, most: number, detail: string): number {
  demand(Number.isInteger(value) && (value as number) >= least && (value as number) <= most, detail);
  return value as number;
}

function demand(holds: boolean, detail: string): asserts holds {
  if (!holds) throw new Error(detail);
}

export function invalid(detail: string, cause?: unknown): CountersignError {
  return new CountersignError('cassette-invalid', detail, { cause });
}
