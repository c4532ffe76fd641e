/**
 * `POST /v1/grants`: a caller asks for a role. They have it at once where the configuration lets them, and otherwise
 * when an operator says yes.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { handedOutFaults, type RoleGrant } from '../../../consumers/consumer.ts';
import { CountersignError } from '../../../errors.ts';
import { grants as grantsRole } from '../../../security/roles.ts';
import type { SecurityContext } from '../../../security/security-context.ts';
import type { Transaction } from '../../../storage/unit-of-work.ts';
import { OPERATORS, type Route } from '../../call.ts';
import { checkInput } from '../api-input.ts';
import { endpointRoute } from '../endpoint-route.ts';
import { checkIfMatch } from './entity-tag.ts';
import { grantBody } from './grants.ts';
import { knownKey } from './keys.ts';
import type { ManagementParts, RoleSettings } from './parts.ts';
import {
  grantEvent,
  type Holder,
  holds,
  loadHolder,
  ownConsumer,
  putGrant,
  withRole,
} from './role-holder.ts';
import { grantItem, newGrant } from './schemas.ts';

/** Requests of one consumer that wait for an answer. */
const MOST_WAITING = 16;

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
          role === undefined
            ? []
            : handedOutFaults([role], listed).map(({ detail }) => ({ path: 'role', detail })),
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
          201: {
            description: 'Granted or requested: see `status`.',
            schema: grantItem,
            headers: { Location: 'The grant.' },
          },
        },
      },
    },
    parts,
  );
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

function conflict(detail: string): CountersignError {
  return new CountersignError('conflict', detail);
}
