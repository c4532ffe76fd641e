/**
 * `/v1/consumers`: operators register consumers, change and remove them.
 * @module
 */
import { type Consumer, consumerFaults, handedOutFaults } from '../../../consumers/consumer.ts';
import { issueKey, type NewKey } from '../../../consumers/registration.ts';
import { CountersignError } from '../../../errors.ts';
import type { Transaction } from '../../../storage/unit-of-work.ts';
import type { Route } from '../../call.ts';
import { checkInput } from '../api-input.ts';
import { endpointRoute } from '../endpoint-route.ts';
import { readerRoute } from '../reader-route.ts';
import { checkIfMatch, entityTag } from './entity-tag.ts';
import { refuseBeyond } from './operator-roles.ts';
import { pageOf, readCursor } from './paging.ts';
import type { ManagementParts } from './parts.ts';
import { consumerItem, isoTime, isoTimeOrNull, issuedKey, listOf, newConsumer, paging } from './schemas.ts';
import { changedStanding, standingChange, standingDetail } from './standing.ts';

const READ = 'operator:consumers:read';
const CHANGE = 'operator:consumers';

const TAG = { ETag: 'Changes with the consumer; for If-Match.' };

export function listConsumers({ consumers }: ManagementParts): Route {
  return readerRoute({
    name: 'consumers.list',
    role: READ,
    schema: { query: paging },
    description: {
      summary: 'List consumers',
      answers: { 200: { description: 'A page, in the order of names.', schema: listOf(consumerItem) } },
    },
    read({ query: { cursor, limit } }) {
      const after = readCursor('consumers', cursor);
      const found = consumers.list({ ...(after !== undefined && { after }), limit: limit + 1 });
      return { body: pageOf('consumers', found, limit, itemOf) };
    },
  });
}

export function showConsumer({ consumers }: ManagementParts): Route {
  return readerRoute({
    name: 'consumers.show',
    role: READ,
    schema: {},
    description: {
      summary: 'Show a consumer',
      answers: {
        200: { description: 'The consumer.', schema: consumerItem, headers: TAG },
        304: { description: 'If-None-Match names what it is now.', headers: TAG },
      },
    },
    read({ params }) {
      const found = known(consumers.find(params.name ?? ''), params.name);
      return { body: itemOf(found), etag: entityTag(found) };
    },
  });
}

export function addConsumer(parts: ManagementParts): Route {
  const schema = { body: newConsumer };
  return endpointRoute(
    {
      name: 'consumer.add',
      role: CHANGE,
      idempotency: 'nonce',
      issuesSecret: true,
      parameters(input) {
        checkIfMatch(input.ifMatch, undefined);
        const { listed } = parts.roleSettings();
        return checkInput(schema, input, ({ name, roles = [] }) =>
          name === undefined ? handedOutFaults(roles, listed) : consumerFaults(name, roles, listed),
        ).body;
      },
      loadState: (tx, { name }, { now }) => ({
        taken: tx.consumers.find(name) !== undefined,
        fresh: issueKey(parts.vault, name, {}, now),
      }),
      updateState({ taken, fresh }, { name, roles }, { context, now }) {
        refuseBeyond(context, roles);
        if (taken)
          throw new CountersignError(
            'conflict',
            `There is a consumer "${name}" already; choose another name.`,
          );
        return { consumer: { name, roles: [...new Set(roles)], createdAt: now }, fresh };
      },
      async apply(tx, { consumer, fresh }) {
        await tx.consumers.add(consumer);
        await tx.consumers.addKey(fresh.key);
      },
      getResponse: ({ consumer, fresh }) => ({
        status: 201,
        headers: { location: `/v1/consumers/${consumer.name}` },
        body: issuedBody(fresh, consumer.roles),
      }),
      audit: ({ consumer: { name, roles }, fresh }) => ({
        subject: name,
        detail: { roles, keyid: fresh.key.keyid },
      }),
    },
    {
      schema,
      description: {
        summary: 'Register a consumer, with its first key',
        answers: {
          201: {
            description: 'Registered. The secret is shown once.',
            schema: issuedKey,
            headers: { Location: 'The consumer.' },
          },
        },
      },
    },
    parts,
  );
}

export function changeConsumer(parts: ManagementParts): Route {
  const schema = { body: standingChange };
  return endpointRoute(
    {
      name: 'consumer.change',
      role: CHANGE,
      idempotency: 'nonce',
      parameters: (input) => ({
        name: input.params.name ?? '',
        ifMatch: input.ifMatch,
        wanted: checkInput(schema, input, ({ roles = [] }) =>
          handedOutFaults(roles, parts.roleSettings().listed),
        ).body,
      }),
      async loadState(tx, { name }) {
        await refusePersons(tx, name);
        return known(tx.consumers.find(name), name);
      },
      updateState(before, { ifMatch, wanted }, { context, now }) {
        checkIfMatch(ifMatch, entityTag(before));
        refuseBeyond(context, [...before.roles, ...(wanted.roles ?? [])]);
        return changedStanding(before, wanted, now);
      },
      apply: (tx, { before, change }) => tx.consumers.update(before.name, change),
      getResponse: ({ after }) => ({
        status: 200,
        headers: { etag: entityTag(after) },
        body: itemOf(after),
      }),
      audit: (changed) => ({ subject: changed.before.name, detail: standingDetail(changed) }),
    },
    {
      schema,
      description: {
        summary: "Change a consumer's roles, disable it, or enable it again",
        details: 'With If-Match only if it is still what was read.',
        answers: { 200: { description: 'As it is now.', schema: consumerItem, headers: TAG } },
      },
    },
    parts,
  );
}

export function removeConsumer(parts: ManagementParts): Route {
  const schema = {};
  return endpointRoute(
    {
      name: 'consumer.remove',
      role: CHANGE,
      idempotency: 'nonce',
      parameters(input) {
        checkInput(schema, input);
        return { name: input.params.name ?? '', ifMatch: input.ifMatch };
      },
      async loadState(tx, { name }) {
        await refusePersons(tx, name);
        return known(tx.consumers.find(name), name);
      },
      updateState(consumer, { ifMatch }, { context }) {
        checkIfMatch(ifMatch, entityTag(consumer));
        refuseBeyond(context, consumer.roles);
        return consumer;
      },
      apply: (tx, { name }) => tx.consumers.remove(name),
      getResponse: () => ({ status: 204 }),
      audit: ({ name, id, roles }) => ({ subject: name, detail: { id, roles } }),
    },
    {
      schema,
      description: {
        summary: 'Remove a consumer with its keys and grants',
        details: 'Its calls are refused from then on. With If-Match only if it is still what was read.',
        answers: { 204: { description: 'Removed.' } },
      },
    },
    parts,
  );
}

/** A person's own consumer has the roles of the account, and goes with it. */
async function refusePersons({ accounts }: Transaction, name: string): Promise<void> {
  const account = await accounts.findByConsumer(name);
  if (!account) return;
  throw new CountersignError(
    'conflict',
    `This consumer is a person's own; change their account instead: /v1/accounts/${account.id}.`,
  );
}

/** @throws not-found where there is none. */
export function known(consumer: Consumer | undefined, name: string | undefined): Consumer {
  if (!consumer) throw new CountersignError('not-found', `There is no consumer "${name}".`);
  return consumer;
}

export function issuedBody({ key, secret }: NewKey, roles: readonly string[]) {
  const { consumer, keyid } = key;
  return { consumer, keyid, secret: secret.toString('base64'), roles };
}

function itemOf({ name, id, roles, createdAt, disabledAt }: Consumer) {
  return { name, id, roles, createdAt: isoTime(createdAt), disabledAt: isoTimeOrNull(disabledAt) };
}
