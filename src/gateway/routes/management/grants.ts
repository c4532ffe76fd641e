/**
 * `/v1/grants`: who asked for which role, and what an operator says to it.
 * @module
 */
import { handedOutFaults, type RoleGrant } from '../../../consumers/consumer.ts';
import { CountersignError } from '../../../errors.ts';
import { grants as grantsRole } from '../../../security/roles.ts';
import type { SecurityContext } from '../../../security/security-context.ts';
import type { Route } from '../../call.ts';
import { checkInput } from '../api-input.ts';
import { endpointRoute } from '../endpoint-route.ts';
import { readerRoute } from '../reader-route.ts';
import { checkIfMatch } from './entity-tag.ts';
import { refuseBeyond } from './operator-roles.ts';
import { pageOfAll } from './paging.ts';
import type { ManagementParts } from './parts.ts';
import { grantEvent, holds, loadHolder, ownConsumer, putGrant, withRole } from './role-holder.ts';
import { decision, grantFilter, grantItem, isoTime, isoTimeOrNull, listOf } from './schemas.ts';

const READ = 'operator:grants:read';
const DECIDE = 'operator:grants';

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
        if (grant.status !== 'requested')
          throw new CountersignError('conflict', `This was decided before: ${grant.status}.`);
        if (decision === 'deny') return { grant: decided(grant, 'denied', now), holder, roles: undefined };
        refuseBeyond(context, [grant.role]);
        refuseUnlisted(grant, parts.roleSettings().listed);
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

/** The configuration may have changed since it was asked for. */
function refuseUnlisted({ role }: RoleGrant, listed: readonly string[] | undefined): void {
  const [fault] = handedOutFaults([role], listed);
  if (fault) throw new CountersignError('conflict', `It can only be denied: ${fault.detail}.`);
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

function decided(grant: RoleGrant, status: 'granted' | 'denied', decidedAt: number): RoleGrant {
  return { ...grant, status, decidedAt };
}
