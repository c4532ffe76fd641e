/**
 * `/v1/account/keys`: a person's own keys, which call for them. The first comes with the registration and expires;
 * another can be had at any time.
 * @module
 */
import type { Account } from '../../../accounts/account.ts';
import { requiresSecondFactor } from '../../../accounts/second-factor.ts';
import type { ConsumerKey } from '../../../consumers/consumer.ts';
import { checkKeyDraft } from '../../../consumers/key-draft.ts';
import { issueKey } from '../../../consumers/registration.ts';
import { CountersignError } from '../../../errors.ts';
import { grants } from '../../../security/roles.ts';
import { PEOPLE, type Route } from '../../call.ts';
import { checkInput, refuseInput } from '../api-input.ts';
import { endpointRoute } from '../endpoint-route.ts';
import { isoTime } from '../management/schemas.ts';
import { ownAccountOf, ownIdOf } from './account-item.ts';
import type { AccountParts } from './account-parts.ts';
import { issuedOwnKey, newOwnKey } from './schemas.ts';

/** Keys that are good at one time. */
const MOST_KEYS = 10;

export function addOwnKey(parts: AccountParts): Route {
  const schema = { body: newOwnKey.optional() };
  return endpointRoute(
    {
      name: 'own-key.add',
      role: 'any',
      idempotency: 'key',
      issuesSecret: true,
      parameters(input, { now }) {
        const draft = checkInput(schema, input).body ?? {};
        refuseInput(checkKeyDraft(draft, now));
        return draft;
      },
      async loadState(tx, draft, { context, now }) {
        const account = ownAccountOf(await tx.accounts.find(ownIdOf(context)));
        const consumer = ownConsumerOf(account);
        return {
          account,
          keys: tx.consumers.keysOf(consumer),
          fresh: issueKey(parts.vault, consumer, { ...draft, ...subsetOf(account) }, now),
        };
      },
      updateState({ account, keys, fresh }, _draft, { context, now }) {
        if (account.roles.some((role) => !context.roles.some((held) => grants(held, role))))
          throw new CountersignError(
            'key-forbidden',
            'A key grants all that the account has, and this token less; log in for all roles.',
          );
        if (keys.filter((key) => isGood(key, now)).length >= MOST_KEYS)
          throw new CountersignError('conflict', `There are ${MOST_KEYS} good keys already; revoke one.`);
        return fresh;
      },
      apply: (tx, { key }) => tx.consumers.addKey(key),
      getResponse: ({ key, secret }) => ({
        status: 201,
        body: { keyid: key.keyid, secret: secret.toString('base64'), expires: isoTime(key.notAfter) },
      }),
      audit: ({ key }) => ({ subject: key.keyid, detail: { consumer: key.consumer } }),
    },
    {
      schema,
      credential: PEOPLE,
      selfService: true,
      description: {
        summary: 'Issue a key to the caller',
        details: 'It is good for 90 days.',
        answers: { 201: { description: 'The secret is shown once.', schema: issuedOwnKey } },
      },
    },
    parts,
  );
}

export function revokeOwnKey(parts: AccountParts): Route {
  const schema = {};
  return endpointRoute(
    {
      name: 'own-key.revoke',
      role: 'any',
      idempotency: 'key',
      parameters(input) {
        checkInput(schema, input);
        return { keyid: input.params.keyid ?? '' };
      },
      async loadState(tx, { keyid }, { context }) {
        const consumer = ownConsumerOf(ownAccountOf(await tx.accounts.find(ownIdOf(context))));
        return tx.consumers.keysOf(consumer).find((key) => key.keyid === keyid);
      },
      updateState(key, { keyid }, { now }) {
        if (!key) throw new CountersignError('not-found', `You have no key "${keyid}".`);
        return { key, now };
      },
      apply: (tx, { key, now }) => tx.consumers.revokeKey(key.keyid, now),
      getResponse: () => ({ status: 204 }),
      audit: ({ key }) => ({ subject: key.keyid, detail: { consumer: key.consumer } }),
    },
    {
      schema,
      credential: PEOPLE,
      selfService: true,
      description: {
        summary: "Revoke one of the caller's keys",
        answers: { 204: { description: 'It is refused from now on.' } },
      },
    },
    parts,
  );
}

function ownConsumerOf({ consumer }: Account): string {
  if (consumer !== undefined) return consumer;
  throw new CountersignError('conflict', 'This account has no consumer, so it can have no keys.');
}

function isGood({ revokedAt, notAfter }: ConsumerKey, now: number): boolean {
  return revokedAt === undefined && notAfter > now;
}

/** A key is one factor: it grants nothing of what asks for two. */
function subsetOf({ roles }: Account): { readonly roleSubset?: readonly string[] } {
  const roleSubset = roles.filter((role) => !requiresSecondFactor({ roles: [role] }));
  return roleSubset.length < roles.length ? { roleSubset } : {};
}
