/**
 * `POST /v1/invitations`: an operator invites somebody, whose address gets a ticket to register with.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { letter } from '../../../accounts/letters.ts';
import { TICKET_LIFE } from '../../../accounts/ticket.ts';
import { handedOutFaults } from '../../../consumers/consumer.ts';
import { CountersignError } from '../../../errors.ts';
import { OPERATORS, type Route } from '../../call.ts';
import { checkInput } from '../api-input.ts';
import { endpointRoute } from '../endpoint-route.ts';
import { checkIfMatch } from '../management/entity-tag.ts';
import { refuseBeyond } from '../management/operator-roles.ts';
import { isoTime } from '../management/schemas.ts';
import type { AccountParts } from './account-parts.ts';
import { invitation, invited } from './schemas.ts';

export function invite(parts: AccountParts): Route {
  const schema = { body: invitation };
  return endpointRoute(
    {
      name: 'account.invite',
      role: 'operator:accounts',
      idempotency: 'nonce',
      parameters(input) {
        checkIfMatch(input.ifMatch, undefined);
        return checkInput(schema, input, ({ roles = [] }) => handedOutFaults(roles, parts.listedRoles()))
          .body;
      },
      loadState: async (tx, { email }) => ({
        taken: (await tx.accounts.findByEmail(email)) !== undefined,
        id: randomBytes(24).toString('base64url'),
      }),
      updateState({ taken, id }, { email, roles }, { context, now }) {
        refuseBeyond(context, roles);
        if (parts.registration() === 'closed') throw closed();
        if (taken) throw new CountersignError('conflict', 'There is an account with this address already.');
        return { id, email, roles: [...new Set(roles)], at: now };
      },
      async apply(tx, { id, email, roles, at }) {
        const owner = parts.tickets.addressTag(email);
        // Of several invitations the newest alone is still to be sent.
        await tx.outbox.forget(owner);
        await tx.outbox.add(letter({ kind: 'invitation', owner, email, roles, at }, id));
      },
      getResponse: ({ id, at }) => ({
        status: 202,
        body: { id, expires: isoTime(at + TICKET_LIFE.invitation) },
      }),
      audit: ({ id, roles }) => ({ subject: id, detail: { roles } }),
    },
    {
      schema,
      credential: OPERATORS,
      description: {
        summary: 'Invite somebody to register',
        details:
          'A mail with a ticket goes out, good once and for seven days. Nobody hands out an operator’s role beyond their own.',
        answers: { 202: { description: 'The mail is on its way.', schema: invited } },
      },
    },
    parts,
  );
}

/** A letter would go out, and its ticket open nothing. */
function closed(): CountersignError {
  return new CountersignError(
    'conflict',
    'Registration is closed here, so nobody could use an invitation. Whoever runs the gateway sets accounts.registration to "invited", or makes the account: countersign account add.',
  );
}
