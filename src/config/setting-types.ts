/**
 * The few kinds of values that settings have, each with a fault that says what to write.
 * @module
 */
import { z } from 'zod';
import { CountersignError } from '../errors.ts';

/** `what` completes "write …" for a missing value, and "must be …" for one of another type. */
const expected = (what: string) => (issue: { readonly input?: unknown }) => {
  if (issue.input === undefined) return `is missing; write ${what}`;
  return issue.input === null ? `is empty; write ${what}` : `must be ${what}`;
};

/** Text that `read` turns into the setting, or refuses by throwing `config-invalid`. */
export function text<T>(what: string, read: (text: string) => T) {
  return z.string({ error: expected(what) }).transform((value, context) => {
    try {
      return read(value);
    } catch (error) {
      if (!(error instanceof CountersignError)) throw error;
      context.issues.push({ code: 'custom', message: error.message, input: value });
      return z.NEVER;
    }
  });
}

export function flag() {
  return z.boolean({ error: expected('true or false') });
}

interface Range {
  readonly least: number;
  readonly most: number;
  /** With the article, such as "a number of bytes". */
  readonly what: string;
  readonly whole?: boolean;
}

export function quantity({ least, most, what, whole = true }: Range) {
  const error = expected(`${what} from ${least} to ${most}`);
  const number = whole ? z.int({ error }) : z.number({ error });
  return number.min(least, { error }).max(most, { error });
}

/** @param what completes "a list of …". */
export function list<T>(what: string, item: z.ZodType<T>) {
  return z.array(item, { error: expected(`a list of ${what}`) });
}

/** Settings under one name; any other name is a fault. @param example how they are written. */
export function group<Shape extends z.ZodRawShape>(example: string, shape: Shape) {
  return z.strictObject(shape, { error: expected(`settings, such as ${example}`) });
}
