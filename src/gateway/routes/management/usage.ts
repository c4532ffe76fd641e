/**
 * `/v1/usage`: how often consumers call, and when they last did.
 * @module
 */
import type { Consumer } from '../../../consumers/consumer.ts';
import type { Route } from '../../call.ts';
import { readerRoute } from '../reader-route.ts';
import { pageOf, readCursor } from './paging.ts';
import type { ManagementParts } from './parts.ts';
import { isoTimeOrNull, listOf, paging, usageItem } from './schemas.ts';

export function listUsage({ consumers }: ManagementParts): Route {
  return readerRoute({
    name: 'usage.list',
    role: 'operator:usage:read',
    schema: { query: paging },
    description: {
      summary: 'List how consumers use their keys',
      details: 'What is counted is written every few seconds.',
      answers: {
        200: { description: 'A page, in the order of the names of consumers.', schema: listOf(usageItem) },
      },
    },
    read({ query: { cursor, limit } }) {
      const after = readCursor('usage', cursor);
      const found = consumers.list({ ...(after !== undefined && { after }), limit: limit + 1 });
      return { body: pageOf('usage', found, limit, itemOf) };
    },
  });

  function itemOf({ name }: Consumer) {
    const keys = consumers.keysOf(name).map(({ keyid }) => ({ keyid, ...consumers.usageOf(keyid) }));
    const lastUsed = Math.max(...keys.map((key) => key.lastUsed ?? 0), 0);
    return {
      name,
      calls: keys.reduce((sum, { calls = 0 }) => sum + calls, 0),
      lastUsed: isoTimeOrNull(lastUsed || undefined),
      keys: keys.map((key) => ({
        keyid: key.keyid,
        calls: key.calls ?? 0,
        lastUsed: isoTimeOrNull(key.lastUsed),
      })),
    };
  }
}
