/**
 * `/v1/consumers/{name}/keys`: operators issue, rotate and revoke the keys of consumers.
 * @module
 */

import { epochSeconds } from '../../../clock.ts';
import {
  type Consumer,
  type ConsumerKey,
  type ConsumerReader,
  effectiveRoles,
} from '../../../consumers/consumer.ts';
import { keyStatus } from '../../../consumers/expiry.ts';
import { checkKeyDraft } from '../../../consumers/key-draft.ts';
import { issueKey } from '../../../consumers/registration.ts';
import { CountersignError } from '../../../errors.ts';
import type { Route } from '../../call.ts';
import { type ApiInput, checkInput } from '../api-input.ts';
import { endpointRoute } from '../endpoint-route.ts';
import { readerRoute } from '../reader-route.ts';
import { issuedBody, known } from './consumers.ts';
import { checkIfMatch } from './entity-tag.ts';
import { refuseBeyond } from './operator-roles.ts';
import { pageOfAll } from './paging.ts';
import type { ManagementParts } from './parts.ts';
import { isoTime, isoTimeOrNull, issuedKey, keyItem, listOf, newKey, paging } from './schemas.ts';

const READ = 'operator:keys:read';
const CHANGE = 'operator:keys';

export function listKeys({ consumers, clock }: ManagementParts): Route {
  return readerRoute({
    name: 'keys.list',
    role: READ,
    schema: { query: paging },
    description: {
      summary: "List a consumer's keys",
      answers: { 200: { description: 'A page; revoked keys are in it too.', schema: listOf(keyItem) } },
    },
    read({ params, query }) {
      const { name } = known(consumers.find(params.name ?? ''), params.name);
      const now = epochSeconds(clock);
      const keys = consumers.keysOf(name);
      const item = (key: ConsumerKey) => keyItemOf(consumers, key, now);
      return { body: pageOfAll(`keys of ${name}`, keys, query, ({ keyid }) => keyid, item) };
    },
  });
}

export function showKey({ consumers, clock }: ManagementParts): Route {
  return readerRoute({
    name: 'keys.show',
    role: READ,
    schema: {},
    description: {
      summary: "Show a consumer's key",
      answers: { 200: { description: 'The key, without its secret.', schema: keyItem } },
    },
    read({ params }) {
      const { key } = knownKey(consumers, params);
      return { body: keyItemOf(consumers, key, epochSeconds(clock)) };
    },
  });
}

export function addKey(parts: ManagementParts): Route {
  const schema = { body: newKey };
  return endpointRoute(
    {
      name: 'key.add',
      role: CHANGE,
      idempotency: 'nonce',
      issuesSecret: true,
      parameters(input, { now }) {
        checkIfMatch(input.ifMatch, undefined);
        const { body } = checkInput(schema, input, (draft) => checkKeyDraft(draft, now));
        return { name: input.params.name ?? '', draft: body };
      },
      loadState: (tx, { name, draft }, { now }) => ({
        consumer: known(tx.consumers.find(name), name),
        fresh: issueKey(parts.vault, name, draft, now),
      }),
      updateState({ consumer, fresh }, _parameters, { context }) {
        refuseBeyond(context, consumer.roles);
        return { fresh, roles: effectiveRoles(consumer.roles, fresh.key) };
      },
      apply: (tx, { fresh }) => tx.consumers.addKey(fresh.key),
      getResponse: ({ fresh, roles }) => ({
        status: 201,
        headers: { location: `/v1/consumers/${fresh.key.consumer}/keys/${fresh.key.keyid}` },
        body: issuedBody(fresh, roles),
      }),
      audit({ fresh: { key } }) {
        // Not the label: it is free text, which may name somebody, and a row can't be taken back.
        const { keyid, consumer, notBefore, notAfter, roleSubset, allow, certificateUri } = key;
        const detail = { consumer, notBefore, notAfter, roleSubset, allow, certificateUri };
        return { subject: keyid, detail };
      },
    },
    {
      schema,
      description: {
        summary: 'Issue a key for a consumer',
        answers: {
          201: {
            description: 'Issued. The secret is shown once.',
            schema: issuedKey,
            headers: { Location: 'The key.' },
          },
        },
      },
    },
    parts,
  );
}

export function revokeKey(parts: ManagementParts): Route {
  const schema = {};
  return endpointRoute(
    {
      name: 'key.revoke',
      role: CHANGE,
      idempotency: 'nonce',
      parameters(input) {
        checkInput(schema, input);
        checkIfMatch(input.ifMatch, undefined);
        return input.params;
      },
      loadState: (tx, params) => knownKey(tx.consumers, params),
      updateState({ consumer, key }, _params, { context, now }) {
        refuseBeyond(context, consumer.roles);
        return { key, at: now };
      },
      apply: (tx, { key, at }) => tx.consumers.revokeKey(key.keyid, at),
      getResponse: () => ({ status: 204 }),
      audit: ({ key: { keyid, consumer } }) => ({ subject: keyid, detail: { consumer } }),
    },
    {
      schema,
      description: {
        summary: 'Revoke a key',
        details: 'What it signs is refused from then on, by every process.',
        answers: { 204: { description: 'Revoked, now or before.' } },
      },
    },
    parts,
  );
}

/** @throws not-found also where the key is another consumer's. */
export function knownKey(
  consumers: ConsumerReader,
  { name, keyid = '' }: ApiInput['params'],
): { readonly consumer: Consumer; readonly key: ConsumerKey } {
  const found = consumers.findKey(keyid);
  if (!found || found.consumer.name !== name)
    throw new CountersignError('not-found', `There is no key "${keyid}" of a consumer "${name}".`);
  return found;
}

export function keyItemOf(consumers: ConsumerReader, key: ConsumerKey, now: number) {
  const { keyid, label, notBefore, notAfter, roleSubset, allow, certificateUri } = key;
  return {
    name: keyid,
    keyid,
    label: label ?? null,
    status: keyStatus(key, now),
    notBefore: isoTime(notBefore),
    notAfter: isoTime(notAfter),
    roleSubset: roleSubset ?? null,
    allow: allow ?? null,
    certificateUri: certificateUri ?? null,
    lastUsed: isoTimeOrNull(consumers.usageOf(keyid)?.lastUsed),
  };
}
