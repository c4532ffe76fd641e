/**
 * `/v1/account/keys`: a person's own keys, which call for them. The first comes with the registration and expires;
 * another can be had at any time.
 * @module
 */
import type { Account } from '../../../accounts/account.ts';
import { wrongPassword } from '../../../accounts/login.ts';
import { consumerRoles } from '../../../accounts/registration.ts';
import type { ConsumerKey } from '../../../consumers/consumer.ts';
import { checkKeyDraft, type KeyDraft } from '../../../consumers/key-draft.ts';
import { issueKey } from '../../../consumers/registration.ts';
import { CountersignError } from '../../../errors.ts';
import { grants } from '../../../security/roles.ts';
import { type Context, callerOf, PEOPLE, type Route } from '../../call.ts';
import { type ApiInput, checkInput, refuseInput } from '../api-input.ts';
import { endpointRoute, type PreparedInput } from '../endpoint-route.ts';
import { isoTime } from '../management/schemas.ts';
import { ownAccountOf, ownIdOf } from './account-item.ts';
import type { AccountParts } from './account-parts.ts';
import { issuedOwnKey, newOwnKey } from './schemas.ts';

interface Wanted {
  readonly draft: KeyDraft;
  readonly judged: Account;
}

/** Keys that are good at one time. */
const MOST_KEYS = 10;

export function addOwnKey(parts: AccountParts): Route {
  const schema = { body: newOwnKey };
  const { accounts, logins } = parts;
  return endpointRoute(
    {
      name: 'own-key.add',
      role: 'any',
      idempotency: 'key',
      issuesSecret: true,
      parameters({ prepared }: PreparedInput<Wanted>, { now }) {
        refuseInput(checkKeyDraft(prepared.draft, now));
        return prepared;
      },
      async loadState(tx, { draft }, { context, now }) {
        const account = ownAccountOf(await tx.accounts.find(ownIdOf(context)));
        const consumer = ownConsumerOf(account);
        return {
          account,
          keys: tx.consumers.keysOf(consumer),
          fresh: issueKey(parts.vault, consumer, draft, now),
        };
      },
      updateState({ account, keys, fresh }, { judged }, { context, now }) {
        // Somebody was faster: what was judged is not the password any more.
        if (account.passwordHash !== judged.passwordHash) throw wrongPassword();
        const granted = consumerRoles(account.roles);
        if (granted.some((role) => !context.roles.some((held) => grants(held, role))))
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
      async prepare(input: ApiInput, ctx: Context) {
        const { password, ...draft } = checkInput(schema, input).body;
        const judged = ownAccountOf(await accounts.find(ownIdOf(callerOf(ctx))));
        await logins.judgeAgain(judged, password, ctx.state.address);
        return { draft, judged };
      },
      description: {
        summary: 'Issue a key to the caller',
        details:
          'It is good for 90 days, so the password is asked for: a token that was stolen is good for minutes. It grants the roles of the account, but for those that ask for a second factor.',
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
