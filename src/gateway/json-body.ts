/**
 * Reading a body as JSON (RFC 8259).
 *
 * Two readers: one for text that is only passed back, which may be any JSON, and one for what is acted upon. The
 * latter refuses what two readers may understand differently, such as a name that stands twice (section 4: "the
 * names within an object SHOULD be unique"; some readers take the first value, some the last).
 * @module
 */
import { CountersignError } from '../errors.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Objects and arrays within each other. */
export const MOST_DEPTH = 32;

/** The body's own text, once it is known to be JSON; `json-malformed` where it is not, in UTF-8. */
export function readJsonText(body: Buffer): string {
  const text = decode(body);
  parse(text);
  return text;
}

/**
 * What is acted upon: `json-malformed` also where an object holds a name twice, or values nest deeper than 32. The
 * value is that of `JSON.parse`, to which `__proto__` is a name like any other.
 */
export function readStrictJson(body: Buffer): unknown {
  const text = decode(body);
  const value = parse(text);
  checkNesting(text);
  return value;
}

function decode(body: Buffer): string {
  try {
    return utf8.decode(body);
  } catch {
    throw malformed('it is not UTF-8');
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw malformed((error as Error).message);
  }
}

/** Walks text that is known to be JSON: outside strings, only brackets and what follows a name mean anything. */
function checkNesting(text: string): void {
  /** The names of each object that is open; undefined for an array. */
  const open: (Set<string> | undefined)[] = [];
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === '{' || character === '[') {
      if (open.push(character === '{' ? new Set() : undefined) > MOST_DEPTH) {
        throw malformed(`it nests deeper than ${MOST_DEPTH}`);
      }
    } else if (character === '}' || character === ']') {
      open.pop();
    } else if (character === '"') {
      const literal = stringAt(text, i);
      i += literal.length - 1;
      const names = open.at(-1);
      if (names && isName(text, i + 1)) addName(names, JSON.parse(literal) as string);
    }
  }
}

/** The literal with its quotes. By hand, since a pattern would keep a way back for each of a million characters. */
function stringAt(text: string, start: number): string {
  let i = start + 1;
  while (text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
  return text.slice(start, i + 1);
}

/** A string in an object is a name where a colon follows it. */
function isName(text: string, after: number): boolean {
  let i = after;
  while (/[ \t\r\n]/.test(text[i] ?? '')) i++;
  return text[i] === ':';
}

function addName(names: Set<string>, name: string): void {
  if (names.has(name)) throw malformed(`an object holds the name ${JSON.stringify(name.slice(0, 64))} twice`);
  names.add(name);
}

function malformed(why: string): CountersignError {
  return new CountersignError(
    'json-malformed',
    `The body is not JSON, or not JSON that can be read in one way only: ${why}.`,
  );
}
