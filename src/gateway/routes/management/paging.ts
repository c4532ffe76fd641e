/**
 * Lists by pages: where the next one begins is told in a cursor, whose form is nobody's business but ours.
 * @module
 */
import { refuseInput } from '../api-input.ts';

export interface PageOf<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}

/** @param list the list's name: a cursor of one list is none of another. `validation-failed` where it is none. */
export function readCursor(list: string, cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined;
  const [name, after, ...rest] = decoded(cursor);
  if (name !== list || typeof after !== 'string' || rest.length > 0 || writeCursor(list, after) !== cursor) {
    refuseInput([
      { path: 'cursor', detail: 'it is no cursor of this list; send the `next` of a page as it was' },
    ]);
  }
  return after as string;
}

function decoded(cursor: string): unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}

function writeCursor(list: string, after: string): string {
  return Buffer.from(JSON.stringify([list, after])).toString('base64url');
}

/** @param found what comes after the cursor, one more than `limit` where there is more. */
export function pageOf<T, U extends { readonly name: string }>(
  list: string,
  found: readonly T[],
  limit: number,
  item: (each: T) => U,
): PageOf<U> {
  const items = found.slice(0, limit).map(item);
  const last = items.at(-1);
  return { items, next: found.length > limit && last ? writeCursor(list, last.name) : null };
}

/** The same over a list that is there as a whole. It is put in the order of names, so that cursors hold. */
export function pageOfAll<T, U extends { readonly name: string }>(
  list: string,
  all: readonly T[],
  { cursor, limit }: { readonly cursor?: string | undefined; readonly limit: number },
  nameOf: (each: T) => string,
  item: (each: T) => U,
): PageOf<U> {
  const after = readCursor(list, cursor);
  const sorted = [...all].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  const rest = after === undefined ? sorted : sorted.filter((each) => nameOf(each) > after);
  return pageOf(list, rest, limit, item);
}
