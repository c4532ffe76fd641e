/**
 * In which order a pass takes its requests: by requester and sequence, so that of two requests the later one doesn't make
 * the earlier one old.
 * @module
 */
import type { Inbox } from './inbox.ts';
import { isOfTheSystem } from './outcome.ts';
import { parseRequestDocument } from './request-document.ts';

/** What a request says of its place among the others; it isn't believed for more than that. */
export interface Turn {
  readonly id: string;
  /** Empty where it says none. */
  readonly requester: string;
  readonly sequence: number;
}

/** Errors of the system as they are. */
export function turnOf(id: string, inbox: Inbox): Turn {
  try {
    const { requester, sequence } = parseRequestDocument(inbox.read(id).json);
    return { id, requester, sequence };
  } catch (error) {
    if (isOfTheSystem(error)) throw error;
    // It is refused in its turn.
    return { id, requester: '', sequence: 0 };
  }
}

export function sortTurns(turns: readonly Turn[]): Turn[] {
  return turns.toSorted(
    (a, b) => compare(a.requester, b.requester) || a.sequence - b.sequence || compare(a.id, b.id),
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
