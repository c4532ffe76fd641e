/**
 * The port for documents: where endpoints of a host program keep what they change, in the same commit as the rest.
 * They are stored as they are given; what must not be read in the file doesn't belong here.
 * @module
 */

/** What JSON can say (RFC 8259). */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [name: string]: Json | undefined };

/** Inside a unit of work. A collection is there as soon as something is put into it. */
export interface Documents {
  /** The document as it was put; undefined where there is none. */
  get(collection: string, id: string): Json | undefined | Promise<Json | undefined>;
  /** Inserts or replaces. Throws a TypeError for what JSON can't say. */
  put(collection: string, id: string, value: Json): void | Promise<void>;
  /** Nothing happens where there is none. */
  delete(collection: string, id: string): void | Promise<void>;
}

/** The text under which a value is stored; throws a TypeError where it would come back as another. */
export function documentText(value: Json): string {
  const text: string | undefined = JSON.stringify(value, (_, each: unknown) => {
    if (typeof each === 'number' && !Number.isFinite(each)) throw new TypeError(`JSON has no ${each}`);
    return each;
  });
  if (text === undefined) throw new TypeError('JSON has no undefined');
  return text;
}
