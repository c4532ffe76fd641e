/**
 * What goes over the wire of the routes for people, beside logins. What an address, a name or a password may be is
 * checked in the words of the domain (accounts/).
 * @module
 */
import { z } from 'zod';
import { isEmailAddress } from '../../../accounts/person.ts';
import { grantItem, maybe, moment, roles } from '../management/schemas.ts';

export const MOST_TICKET = 2048;
const MOST_PASSWORD = 1024;

export const address = z
  .string()
  .refine(isEmailAddress, 'it must be an e-mail address, such as ada@example.com')
  .meta({ format: 'email', examples: ['ada@example.com'] });
const ticket = z.string().min(1).max(MOST_TICKET).meta({ description: 'From a mail. Good once.' });
/** One that there is: what it may be was checked when it was set. */
const password = z.string().max(MOST_PASSWORD);
const newPassword = z
  .string()
  .meta({ description: 'From 8 to 256 characters, and none of the common ones.' });

export const invitation = z.strictObject({
  email: address,
  roles: roles.default([]).meta({ description: 'What the account will have.' }),
});
export const invited = z.strictObject({
  id: z.string().meta({ description: 'What log and audit record know it by.' }),
  expires: moment,
});

export const ticketOnly = z.strictObject({ ticket });
export const passwordForgotten = z.strictObject({ email: address });
export const passwordReset = z.strictObject({ ticket, password: newPassword });
export const passwordChange = z.strictObject({ password, newPassword });
export const passwordAgain = z.strictObject({ password });

/** A member that is left out stays as it is. */
export const accountNames = z
  .strictObject({ firstName: z.string().optional(), lastName: z.string().optional() })
  .refine((change) => Object.keys(change).length > 0, 'name what to change: firstName or lastName');

export const ownQuery = z.strictObject({
  email: address.optional().meta({ description: 'Only if this is your address; otherwise not-found.' }),
});

export const newOwnKey = z.strictObject({ password, label: z.string().optional() });

const person = {
  id: z.string().meta({ description: 'Random; all that log and audit record know of a person.' }),
  firstName: z.string(),
  lastName: z.string(),
  email: z.string(),
  emailConfirmedAt: maybe,
  roles: z.array(z.string()),
  consumer: z.string().nullable().meta({ description: 'The consumer of its own, whose keys call for it.' }),
  createdAt: moment,
  disabledAt: maybe,
};

/** As its owner sees it. */
export const ownPerson = z.strictObject(person);

/** As operators see it. */
export const accountItem = z.strictObject({
  name: z.string().meta({ description: 'The id again, as every item of a list has a name.' }),
  ...person,
  secondFactor: z.enum(['none', 'enrolled', 'confirmed']),
});

const ownKey = z.strictObject({
  keyid: z.string(),
  label: z.string().nullable(),
  createdAt: moment,
  notBefore: moment,
  expires: moment,
  revokedAt: maybe,
  lastUsed: maybe,
  calls: z.int().min(0),
});

/** What was just issued. */
export const issuedOwnKey = z.strictObject({
  keyid: z.string(),
  secret: z.string().meta({ description: '64 bytes in base64. Shown once.' }),
  expires: moment,
});

/** Everything kept about the caller. */
export const ownAccount = z.strictObject({
  ...person,
  secondFactor: z.strictObject({
    state: z.enum(['none', 'enrolled', 'confirmed']),
    recoveryCodesLeft: z.int().min(0),
  }),
  keys: z.array(ownKey),
  sessions: z.array(z.strictObject({ createdAt: moment, expires: moment })),
  refreshTokens: z.array(
    z.strictObject({ expires: moment, usedAt: maybe, roles: z.array(z.string()).nullable() }),
  ),
  grants: z.array(grantItem),
  records: z.int().min(0).meta({ description: 'Results kept for repeated calls; each ends by itself.' }),
  audit: z
    .array(
      z.strictObject({
        at: moment,
        actor: z.string(),
        action: z.string(),
        subject: z.string(),
        detail: z.unknown(),
      }),
    )
    .meta({ description: 'The newest 1,000 rows that name the id, the consumer or its keys.' }),
  mail: z
    .array(z.strictObject({ id: z.string(), content: z.string() }))
    .meta({ description: 'As it lies in the mail folder, but for its tickets.' }),
});
