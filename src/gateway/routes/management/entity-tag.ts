/**
 * Entity tags of consumers (RFC 9110 section 8.8.3), and changes on the condition that nobody was faster.
 * @module
 */
import type { Consumer } from '../../../consumers/consumer.ts';
import { CountersignError } from '../../../errors.ts';

/** The version, and whose: a consumer that was removed and registered anew begins at 1 again. */
export function entityTag({ id, version }: Consumer): string {
  return `"${version}-${id.slice(0, 8)}"`;
}

/** @param etag undefined for what has none. `precondition-failed` where If-Match names another. */
export function checkIfMatch(ifMatch: string | undefined, etag: string | undefined): void {
  if (ifMatch === undefined || ifMatch.trim() === '*') return;
  if (ifMatch.split(',').some((each) => each.trim() === etag)) return;
  throw new CountersignError(
    'precondition-failed',
    etag === undefined
      ? 'This has no entity tag, so If-Match can name none; leave it out.'
      : 'It was changed since you read it: If-Match names another entity tag. Read it again.',
  );
}
