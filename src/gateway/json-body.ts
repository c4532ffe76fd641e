/**
 * Reading a body as JSON.
 * @module
 */
import { CountersignError } from '../errors.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** `json-malformed` where the bytes are not JSON in UTF-8. */
export function readJson(body: Buffer): unknown {
  try {
    return JSON.parse(utf8.decode(body));
  } catch (error) {
    throw new CountersignError('json-malformed', `The body is not JSON: ${(error as Error).message}.`);
  }
}

/** The body's own text, once it is known to be JSON. */
export function readJsonText(body: Buffer): string {
  readJson(body);
  return utf8.decode(body);
}
