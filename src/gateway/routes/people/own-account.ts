/**
 * `/v1/account`: a person sees everything that is kept about them, changes their name, and has it all erased.
 * @module
 */
import type { Account } from '../../../accounts/account.ts';
import { completeErasure, eraseAccount } from '../../../accounts/erasure.ts';
import { wrongPassword } from '../../../accounts/login.ts';
import { nameFaults } from '../../../accounts/person.ts';
import { endedCookie } from '../../../accounts/session.ts';
import { CountersignError } from '../../../errors.ts';
import { type Context, callerOf, PEOPLE, type Route } from '../../call.ts';
import { type ApiInput, checkInput } from '../api-input.ts';
import { endpointRoute, type PreparedInput } from '../endpoint-route.ts';
import { checkIfMatch } from '../management/entity-tag.ts';
import { readerRoute } from '../reader-route.ts';
import { exportOf } from './account-export.ts';
import { accountTag, ownAccountOf, ownIdOf, personOf } from './account-item.ts';
import type { AccountParts } from './account-parts.ts';
import { accountNames, ownAccount, ownPerson, ownQuery, passwordAgain } from './schemas.ts';

const TAG = { ETag: 'Changes with the account; for If-Match.' };

export function showOwnAccount(parts: AccountParts): Route {
  const { accounts, tickets } = parts;
  return readerRoute({
    name: 'own-account.show',
    role: 'any',
    schema: { query: ownQuery },
    credential: PEOPLE,
    selfService: true,
    description: {
      summary: 'Everything that is kept about the caller',
      answers: { 200: { description: 'All of it.', schema: ownAccount, headers: TAG } },
    },
    async read({ query: { email }, context }) {
      const account = ownAccountOf(await accounts.find(ownIdOf(context)));
      if (email !== undefined && tickets.addressTag(email) !== tickets.addressTag(account.email)) {
        // Whether it is somebody else's isn't told.
        throw new CountersignError('not-found', 'Nothing is shown here but what is kept about the caller.');
      }
      return { body: await exportOf(parts, account), etag: accountTag(account) };
    },
  });
}

export function changeOwnAccount(parts: AccountParts): Route {
  const schema = { body: accountNames };
  return endpointRoute(
    {
      name: 'own-account.change',
      role: 'any',
      idempotency: 'key',
      parameters: (input) => ({
        ifMatch: input.ifMatch,
        names: checkInput(schema, input, (names) =>
          (['firstName', 'lastName'] as const).flatMap((path) =>
            names[path] === undefined ? [] : nameFaults(path, names[path]),
          ),
        ).body,
      }),
      loadState: async (tx, _parameters, { context }) =>
        ownAccountOf(await tx.accounts.find(ownIdOf(context))),
      updateState(before, { ifMatch, names: { firstName, lastName } }) {
        checkIfMatch(ifMatch, accountTag(before));
        const change = {
          ...(firstName !== undefined && { firstName }),
          ...(lastName !== undefined && { lastName }),
        };
        return { change, after: { ...before, ...change, version: before.version + 1 } };
      },
      apply: (tx, { change, after }) => tx.accounts.update(after.id, change),
      getResponse: ({ after }) => ({
        status: 200,
        headers: { etag: accountTag(after) },
        body: personOf(after),
      }),
      // Which, and never to what.
      audit: ({ change, after }) => ({ subject: after.id, detail: { changed: Object.keys(change) } }),
    },
    {
      schema,
      credential: PEOPLE,
      selfService: true,
      description: {
        summary: "Change the caller's name",
        answers: { 200: { description: 'As it is now.', schema: ownPerson, headers: TAG } },
      },
    },
    parts,
  );
}

/** Answers once nothing of it is left, but what readers of other processes still hold of the journal. */
export function eraseOwnAccount(parts: AccountParts): Route {
  const schema = { body: passwordAgain };
  const { accounts, logins, tickets } = parts;
  const route = endpointRoute(
    {
      name: 'own-account.erase',
      role: 'any',
      idempotency: 'key',
      parameters: ({ prepared }: PreparedInput<{ readonly judged: Account }>) => prepared,
      loadState: async (tx, _parameters, { context }) =>
        ownAccountOf(await tx.accounts.find(ownIdOf(context))),
      updateState(account, { judged }) {
        // Somebody was faster: what was judged is not the password any more.
        if (account.passwordHash !== judged.passwordHash) throw wrongPassword();
        return account;
      },
      apply: (tx, account) => eraseAccount(tx, account, tickets.addressTag(account.email)),
      getResponse: () => ({ status: 204, headers: { 'set-cookie': endedCookie() } }),
      audit: ({ id }) => ({ subject: id }),
    },
    {
      schema,
      credential: PEOPLE,
      selfService: true,
      async prepare(input: ApiInput, ctx: Context) {
        const { body } = checkInput(schema, input);
        const judged = ownAccountOf(await accounts.find(ownIdOf(callerOf(ctx))));
        await logins.judgeAgain(judged, body.password, ctx.state.address);
        return { judged };
      },
      description: {
        summary: 'Erase the account, with everything that is kept about the caller',
        details:
          'Keys, tokens and sessions end at once. The audit record keeps a random id, which leads nowhere from then on. Backups are the operator’s affair.',
        answers: { 204: { description: 'Erased.' } },
      },
    },
    parts,
  );
  return {
    ...route,
    async answer(ctx) {
      const account = await accounts.find(ownIdOf(callerOf(ctx)));
      await route.answer(ctx);
      // The outbox sees to it as well, should this fail or be cut off, and tells why.
      if (!account) return;
      const erased = { account: account.id, address: tickets.addressTag(account.email) };
      await completeErasure(parts, erased).catch(() => {});
    },
  };
}
