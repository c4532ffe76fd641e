/**
 * `/v1/accounts`: operators see people's accounts, say what they may do, and close them. A change of roles, and a
 * closed account, end every token and session at once.
 * @module
 */
import type { Account, AccountReader } from '../../../accounts/account.ts';
import { endAll } from '../../../accounts/generation.ts';
import { consumerRoles } from '../../../accounts/registration.ts';
import { handedOutFaults } from '../../../consumers/consumer.ts';
import type { SecurityContext } from '../../../security/security-context.ts';
import type { Transaction } from '../../../storage/unit-of-work.ts';
import { OPERATORS, type Route } from '../../call.ts';
import { checkInput } from '../api-input.ts';
import { endpointRoute } from '../endpoint-route.ts';
import { checkIfMatch } from '../management/entity-tag.ts';
import { refuseBeyond } from '../management/operator-roles.ts';
import { pageOf, readCursor } from '../management/paging.ts';
import { listOf, paging } from '../management/schemas.ts';
import { changedStanding, standingChange, standingDetail } from '../management/standing.ts';
import { readerRoute } from '../reader-route.ts';
import { accountTag, factorState, knownAccount, personOf } from './account-item.ts';
import type { AccountParts } from './account-parts.ts';
import { accountItem } from './schemas.ts';
import { refuseOwn } from './second-factor.ts';

const READ = 'operator:accounts:read';
const CHANGE = 'operator:accounts';

const TAG = { ETag: 'Changes with the account; for If-Match.' };

async function itemOf(accounts: Pick<AccountReader, 'secondFactor'>, account: Account) {
  return {
    name: account.id,
    ...personOf(account),
    secondFactor: factorState(await accounts.secondFactor(account.id)),
  };
}

export function listAccounts({ accounts }: AccountParts): Route {
  return readerRoute({
    name: 'accounts.list',
    role: READ,
    schema: { query: paging },
    credential: OPERATORS,
    description: {
      summary: "List people's accounts",
      answers: { 200: { description: 'A page, in the order of ids.', schema: listOf(accountItem) } },
    },
    async read({ query: { cursor, limit } }) {
      const after = readCursor('accounts', cursor);
      const found = await accounts.list({ ...(after !== undefined && { after }), limit: limit + 1 });
      const items = await Promise.all(found.map((account) => itemOf(accounts, account)));
      return { body: pageOf('accounts', items, limit, (item) => item) };
    },
  });
}

export function showAccount({ accounts }: AccountParts): Route {
  return readerRoute({
    name: 'accounts.show',
    role: READ,
    schema: {},
    credential: OPERATORS,
    description: {
      summary: 'Show an account',
      answers: { 200: { description: 'The account.', schema: accountItem, headers: TAG } },
    },
    async read({ params: { id } }) {
      const found = knownAccount(await accounts.find(id ?? ''), id);
      return { body: await itemOf(accounts, found), etag: accountTag(found) };
    },
  });
}

export function changeAccount(parts: AccountParts): Route {
  const schema = { body: standingChange };
  return endpointRoute(
    {
      name: 'account.change',
      role: CHANGE,
      idempotency: 'nonce',
      parameters: (input) => ({
        id: input.params.id ?? '',
        ifMatch: input.ifMatch,
        wanted: checkInput(schema, input, ({ roles = [] }) => handedOutFaults(roles, parts.listedRoles()))
          .body,
      }),
      loadState: (tx, { id }) => loadAccount(tx, id),
      updateState({ account, factor }, { ifMatch, wanted }, { context, now }) {
        checkIfMatch(ifMatch, accountTag(account));
        refuseBeyond(context, [...account.roles, ...(wanted.roles ?? [])]);
        return { ...changedStanding(account, wanted, now), factor };
      },
      async apply(tx, { before: { id, consumer }, change }) {
        await tx.accounts.update(id, change);
        const { roles } = change;
        const consumerChange = { ...change, ...(roles && { roles: consumerRoles(roles) }) };
        if (consumer !== undefined) await tx.consumers.update(consumer, consumerChange);
        await endAll(tx.accounts, id);
      },
      getResponse: ({ after, factor }) => ({
        status: 200,
        headers: { etag: accountTag(after) },
        body: { name: after.id, ...personOf(after), secondFactor: factor },
      }),
      audit: (changed) => ({ subject: changed.before.id, detail: standingDetail(changed) }),
    },
    {
      schema,
      credential: OPERATORS,
      description: {
        summary: "Change an account's roles, disable it, or enable it again",
        details:
          'Ends its tokens and sessions; its keys stay, with the new roles. With If-Match only if it is still what was read.',
        answers: { 200: { description: 'As it is now.', schema: accountItem, headers: TAG } },
      },
    },
    parts,
  );
}

/** For somebody who has lost it. Their password alone opens the account then, unless its role asks for a code. */
export function resetSecondFactor(parts: AccountParts): Route {
  return actionRoute(parts, {
    name: 'account.reset-second-factor',
    summary: 'Remove the second factor of an account, with its recovery codes',
    details: 'Ends its tokens and sessions.',
    async apply(tx, account, context) {
      refuseOwn(context, account);
      const { id } = account;
      await tx.accounts.removeSecondFactor(id);
      await endAll(tx.accounts, id);
    },
  });
}

export function logOutAccount(parts: AccountParts): Route {
  return actionRoute(parts, {
    name: 'account.logout',
    summary: 'End every token and session of an account',
    apply: ({ accounts }, { id }) => endAll(accounts, id),
  });
}

interface Action {
  readonly name: string;
  readonly summary: string;
  readonly details?: string;
  apply(tx: Transaction, account: Account, context: SecurityContext): Promise<void>;
}

/** What an operator does to an account, with no more to say. */
function actionRoute(parts: AccountParts, { name, summary, details, apply }: Action): Route {
  const schema = {};
  return endpointRoute(
    {
      name,
      role: CHANGE,
      idempotency: 'nonce',
      parameters(input) {
        checkInput(schema, input);
        return { id: input.params.id ?? '', ifMatch: input.ifMatch };
      },
      loadState: (tx, { id }) => loadAccount(tx, id),
      updateState({ account }, { ifMatch }, { context }) {
        checkIfMatch(ifMatch, accountTag(account));
        refuseBeyond(context, account.roles);
        return account;
      },
      apply,
      getResponse: () => ({ status: 204 }),
      audit: ({ id }) => ({ subject: id }),
    },
    {
      schema,
      credential: OPERATORS,
      description: { summary, ...(details && { details }), answers: { 204: { description: 'Done.' } } },
    },
    parts,
  );
}

interface Loaded {
  readonly account: Account;
  readonly factor: 'none' | 'enrolled' | 'confirmed';
}

async function loadAccount({ accounts }: Transaction, id: string): Promise<Loaded> {
  const account = knownAccount(await accounts.find(id), id);
  return { account, factor: factorState(await accounts.secondFactor(id)) };
}
