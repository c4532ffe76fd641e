/**
 * `/v1/grants`: a consumer asks for a role. It has it at once where the configuration lets it, and otherwise when an
 * operator says yes.
 * @module
 */
import { randomBytes } from 'node:crypto';
import type { AccountReader } from '../../../accounts/account.ts';
import { consumerRoles } from '../../../accounts/registration.ts';
import { requiresSecondFactor } from '../../../accounts/second-factor.ts';
import { type RoleGrant, roleFaults } from '../../../consumers/consumer.ts';
import { CountersignError } from '../../../errors.ts';
import { grants as grantsRole } from '../../../security/roles.ts';
import type { SecurityContext } from '../../../security/security-context.ts';
import type { Transaction } from '../../../storage/unit-of-work.ts';
import { OPERATORS, type Route } from '../../call.ts';
import { checkInput } from '../api-input.ts';
import { endpointRoute } from '../endpoint-route.ts';
import { endAll } from '../people/password.ts';
import { readerRoute } from '../reader-route.ts';
import { known } from './consumers.ts';
import { checkIfMatch } from './entity-tag.ts';
import { knownKey } from './keys.ts';
import { isListed, noRole } from './listed-roles.ts';
import { refuseBeyond } from './operator-roles.ts';
import { pageOfAll } from './paging.ts';
import type { ManagementParts, RoleSettings } from './parts.ts';
import { decision, grantFilter, grantItem, isoTime, isoTimeOrNull, listOf, newGrant } from './schemas.ts';

const READ = 'operator:grants:read';
const DECIDE = 'operator:grants';
/** Requests of one consumer that wait for an answer. */
const MOST_WAITING = 16;
const MOST_ROLES = 64;

const LOCATION = { Location: 'The grant.' };

export function listGrants({ consumers, accounts }: ManagementParts): Route {
  return readerRoute({
    name: 'grants.list',
    role: 'any',
    schema: { query: grantFilter },
    selfService: true,
    description: {
      summary: 'List grants: who asked for which role, and what became of it',
      details: `Operators (${READ}) see those of all consumers, others their own.`,
      answers: { 200: { description: 'A page.', schema: listOf(grantItem) } },
    },
    async read({ query: { consumer: asked, status, ...page }, context }) {
      const own = await ownConsumer(accounts, context);
      const consumer = asked ?? (isReader(context) ? undefined : own);
      if (consumer === undefined || consumer !== own) refuseOthers(context);
      const filter = { ...(consumer !== undefined && { consumer }), ...(status && { status }) };
      const found = consumers.grants(filter);
      return { body: pageOfAll('grants', found, page, ({ id }) => id, grantBody) };
    },
  });
}

export function showGrant({ consumers, accounts }: ManagementParts): Route {
  return readerRoute({
    name: 'grants.show',
    role: 'any',
    schema: {},
    selfService: true,
    description: {
      summary: 'Show a grant',
      answers: { 200: { description: 'The grant.', schema: grantItem } },
    },
    async read({ params, context }) {
      const grant = consumers.findGrant(params.id ?? '');
      // Whose it is isn't told to others.
      const isTheirs =
        grant && (grant.consumer === (await ownConsumer(accounts, context)) || isReader(context));
      return { body: grantBody(knownGrant(isTheirs ? grant : undefined, params.id)) };
    },
  });
}

export function askForRole(parts: ManagementParts): Route {
  const schema = { body: newGrant };
  return endpointRoute(
    {
      name: 'grant.ask',
      role: 'any',
      idempotency: 'nonce',
      parameters(input) {
        checkIfMatch(input.ifMatch, undefined);
        const { listed } = parts.roleSettings();
        const { body } = checkInput(schema, input, ({ role }) =>
          role === undefined ? [] : askFaults(role, listed),
        );
        return { role: body.role, narrowed: input.narrowed };
      },
      async loadState(tx, _parameters, { context }) {
        const asker = await askerOf(tx, context);
        return {
          ...asker,
          waiting: tx.consumers.grants({ consumer: asker.holder.name, status: 'requested' }),
          id: randomBytes(9).toString('hex'),
        };
      },
      updateState({ holder, isLimited, waiting, id }, { role, narrowed }, { context, now }) {
        if (narrowed || isLimited) throw lessThanAll(context);
        if (holds(holder, role)) throw conflict(`"${holder.name}" has the role "${role}" already.`);
        const atOnce = isGrantable(parts.roleSettings(), context, role);
        const grant: RoleGrant = {
          id,
          consumer: holder.name,
          role,
          requestedAt: now,
          ...(atOnce ? { status: 'granted', decidedAt: now } : { status: 'requested' }),
        };
        if (atOnce) return { grant, holder, roles: withRole(holder, role) };
        if (waiting.some((each) => each.role === role))
          throw conflict(
            `"${holder.name}" has asked for the role "${role}" already; an operator must answer.`,
          );
        if (waiting.length >= MOST_WAITING)
          throw conflict(
            `${waiting.length} requests wait for an operator already; ask again once they are answered.`,
          );
        return { grant, holder, roles: undefined };
      },
      apply: putGrant,
      getResponse: ({ grant }) => ({
        status: 201,
        headers: { location: `/v1/grants/${grant.id}` },
        body: grantBody(grant),
      }),
      audit: grantEvent,
    },
    {
      schema,
      selfService: true,
      credential: OPERATORS,
      description: {
        summary: 'Ask for a role',
        details:
          'It is granted at once where the configuration marks it as grantable, to all or to who holds certain roles; otherwise an operator decides. Only with a key or a token that grants all that the caller has, and without Countersign-Narrow. A person has a role that was granted with the next token.',
        answers: {
          201: { description: 'Granted or requested: see `status`.', schema: grantItem, headers: LOCATION },
        },
      },
    },
    parts,
  );
}

export function decideGrant(parts: ManagementParts): Route {
  const schema = { body: decision };
  return endpointRoute(
    {
      name: 'grant.decide',
      role: DECIDE,
      idempotency: 'nonce',
      parameters(input) {
        checkIfMatch(input.ifMatch, undefined);
        return { id: input.params.id ?? '', ...checkInput(schema, input).body };
      },
      async loadState(tx, { id }) {
        const grant = knownGrant(tx.consumers.findGrant(id), id);
        return { grant, holder: await loadHolder(tx, grant.consumer) };
      },
      updateState({ grant, holder }, { decision }, { context, now }) {
        if (grant.status !== 'requested') throw conflict(`This was decided before: ${grant.status}.`);
        if (decision === 'deny') return { grant: decided(grant, 'denied', now), holder, roles: undefined };
        refuseBeyond(context, [grant.role]);
        const roles = holds(holder, grant.role) ? undefined : withRole(holder, grant.role);
        return { grant: decided(grant, 'granted', now), holder, roles };
      },
      apply: putGrant,
      getResponse: ({ grant }) => ({ status: 200, body: grantBody(grant) }),
      audit: grantEvent,
    },
    {
      schema,
      description: {
        summary: 'Answer a request for a role',
        answers: { 200: { description: 'As it was decided.', schema: grantItem } },
      },
    },
    parts,
  );
}

/** Whose role it is to be: a consumer, or the person to whom it belongs. */
interface Holder {
  /** Of the consumer. */
  readonly name: string;
  readonly roles: readonly string[];
  /** The person's id. */
  readonly account: string | undefined;
}

async function loadHolder(tx: Transaction, name: string): Promise<Holder> {
  const consumer = known(tx.consumers.find(name), name);
  const account = await tx.accounts.findByConsumer(name);
  return { name, roles: account?.roles ?? consumer.roles, account: account?.id };
}

interface GrantChange {
  readonly grant: RoleGrant;
  readonly holder: Holder;
  /** The holder's roles from now on; undefined where they stay. */
  readonly roles: readonly string[] | undefined;
}

async function putGrant(tx: Transaction, { grant, holder, roles }: GrantChange): Promise<void> {
  await tx.consumers.putGrant(grant);
  if (!roles) return;
  if (holder.account === undefined) {
    await tx.consumers.update(holder.name, { roles });
    return;
  }
  // Tokens with fewer roles stay good: no generation is raised for a role more. But a session, and what is refreshed,
  // has whatever the account has, and a password alone may have opened it.
  await tx.accounts.update(holder.account, { roles });
  await tx.consumers.update(holder.name, { roles: consumerRoles(roles) });
  if (requiresSecondFactor({ roles }) && !requiresSecondFactor(holder)) await endAll(tx, holder.account);
}

/** The consumer's name, of a person too. */
async function ownConsumer(
  accounts: Pick<AccountReader, 'find'>,
  { account, consumer }: SecurityContext,
): Promise<string | undefined> {
  return account === undefined ? consumer : (await accounts.find(account))?.consumer;
}

interface Asker {
  readonly holder: Holder;
  /** The key or the token grants less than there is. */
  readonly isLimited: boolean;
}

/** A token of before a role was granted is narrowed too, though nobody asked for that. */
function lessThanAll({ account }: SecurityContext): CountersignError {
  const detail =
    account === undefined
      ? 'A key or a call that is narrowed may not ask for more; ask with a key that grants all that you have, without Countersign-Narrow.'
      : 'This token or call has fewer roles than the account, so it may not ask for more: refresh the token where a role was granted since, or log in without "roles", and leave Countersign-Narrow out.';
  return new CountersignError('key-forbidden', detail);
}

async function askerOf(tx: Transaction, context: SecurityContext): Promise<Asker> {
  if (context.account === undefined) {
    const { consumer: name = '', keyid = '' } = context;
    const { key } = knownKey(tx.consumers, { name, keyid });
    return { holder: await loadHolder(tx, name), isLimited: key.roleSubset !== undefined };
  }
  const name = await ownConsumer(tx.accounts, context);
  if (name === undefined) throw conflict('This account has no consumer; an operator must make another.');
  const holder = await loadHolder(tx, name);
  const isLimited = holder.roles.some((role) => !context.roles.some((held) => grantsRole(held, role)));
  return { holder, isLimited };
}

/** Whether the caller may have it for the asking: anybody may, or who holds one of certain roles. */
function isGrantable(
  { grantable, grantableTo }: RoleSettings,
  { roles }: SecurityContext,
  role: string,
): boolean {
  if (grantable.some((each) => grantsRole(each, role))) return true;
  return grantableTo.some(
    ({ name, to }) =>
      grantsRole(name, role) && to.some((each) => roles.some((held) => grantsRole(held, each))),
  );
}

function grantEvent({ grant: { id, consumer, role, status } }: GrantChange) {
  return { subject: consumer, detail: { grant: id, role, status } };
}

function decided(grant: RoleGrant, status: 'granted' | 'denied', decidedAt: number): RoleGrant {
  return { ...grant, status, decidedAt };
}

/** What is wrong with a role that is asked for. @param listed the roles that there are, if that is settled. */
function askFaults(role: string, listed: readonly string[] | undefined) {
  const [fault] = roleFaults('role', [role]);
  if (fault) return [{ path: 'role', detail: fault.detail }];
  return isListed(role, listed) ? [] : [{ path: 'role', detail: noRole(role) }];
}

function holds({ roles }: Holder, role: string): boolean {
  return roles.some((held) => grantsRole(held, role));
}

/** What the new role grants is no longer listed beside it. */
function withRole({ name, roles }: Holder, role: string): string[] {
  const rest = roles.filter((held) => !grantsRole(role, held));
  if (rest.length >= MOST_ROLES)
    throw conflict(`"${name}" has ${rest.length} roles, and there may be no more.`);
  return [...rest, role];
}

function isReader(context: SecurityContext): boolean {
  return context.roles.some((held) => grantsRole(held, READ));
}

function refuseOthers(context: SecurityContext): void {
  if (isReader(context)) return;
  throw new CountersignError(
    'role-missing',
    `The grants of others need the role "${READ}"; ask an operator for it.`,
  );
}

function knownGrant(grant: RoleGrant | undefined, id: string | undefined): RoleGrant {
  if (!grant) throw new CountersignError('not-found', `There is no grant "${id}".`);
  return grant;
}

export function grantBody({ id, consumer, role, status, requestedAt, decidedAt }: RoleGrant) {
  return {
    name: id,
    id,
    consumer,
    role,
    status,
    requestedAt: isoTime(requestedAt),
    decidedAt: isoTimeOrNull(decidedAt),
  };
}

function conflict(detail: string): CountersignError {
  return new CountersignError('conflict', detail);
}
