/**
 * What goes over the wire of the management API. Requests are checked by these schemas, and the document of the API
 * is made from them. What a name or a role may be is checked in the words of the domain (consumers/), so the patterns
 * here only tell it.
 * @module
 */
import { z } from 'zod';

const NAME_PATTERN = '^[a-z0-9][a-z0-9-]{0,62}$';
const ROLE_PATTERN = '^[a-z0-9-]+(:[a-z0-9-]+)*$';
export const MOST_ROLES = 64;

const name = z.string().meta({ pattern: NAME_PATTERN, examples: ['shop'] });
const role = z.string().meta({ pattern: ROLE_PATTERN, examples: ['orders:read'] });
export const roles = z.array(role).max(MOST_ROLES, `there may be ${MOST_ROLES} at most`);

/** Epoch seconds once it is read. */
const time = z.iso
  .datetime({ offset: true, error: 'must be a time such as 2027-01-31T12:00:00Z' })
  .transform((text) => Math.floor(Date.parse(text) / 1000));

export const newConsumer = z.strictObject({ name, roles: roles.default([]) });

export const newKey = z.strictObject({
  label: z.string().optional().meta({ description: 'For people: which service holds it.' }),
  notBefore: time.optional(),
  notAfter: time.optional().meta({ description: 'Default: 90 days after it begins; 400 at most.' }),
  roleSubset: z
    .array(role)
    .optional()
    .meta({ description: 'The roles that it grants of those that the consumer has.' }),
  allow: z
    .array(z.string())
    .optional()
    .meta({
      description: 'Addresses and networks (CIDR) that it may be used from.',
      examples: [['10.0.0.0/8']],
    }),
  certificateUri: z
    .string()
    .optional()
    .meta({
      description: 'The URI name of the client certificate that its calls must come with.',
      examples: ['spiffe://example.com/shop'],
    }),
});

export const rotation = z.strictObject({
  overlap: z.int().min(0).optional().meta({
    description: 'Seconds for which the old key stays good. Default: a day, or what is left of its life.',
  }),
});

export const newGrant = z.strictObject({ role });
export const decision = z.strictObject({ decision: z.enum(['grant', 'deny']) });

const status = z.enum(['requested', 'granted', 'denied']);

/** `?cursor=&limit=`, as every list takes them. */
export const paging = z.strictObject({
  cursor: z.string().optional().meta({ description: 'The `next` of the page before.' }),
  limit: z
    .string()
    .regex(/^([1-9]\d?|100)$/, 'must be a number from 1 to 100')
    .transform(Number)
    .default(50)
    .meta({ description: 'From 1 to 100; 50 by default.' }),
});
export const grantFilter = paging.extend({
  status: status.optional(),
  consumer: z.string().optional().meta({ description: 'Of others than the caller: for operators.' }),
});

/** What answers hold: times are text, and what isn't set is null. */
export const moment = z.iso.datetime();
export const maybe = moment.nullable();

export const listOf = <T extends z.ZodType>(item: T) =>
  z.strictObject({
    items: z.array(item),
    next: z.string().nullable().meta({ description: 'The cursor of the next page; null at the end.' }),
  });

export const issuedKey = z.strictObject({
  consumer: z.string(),
  keyid: z.string(),
  secret: z.string().meta({ description: '64 bytes in base64. Shown once.' }),
  roles: z.array(z.string()).meta({ description: 'What the key grants.' }),
});
export const rotatedKey = issuedKey.extend({
  previousValidUntil: moment.meta({ description: 'Until when the key before stays good.' }),
});

export const consumerItem = z.strictObject({
  name: z.string(),
  id: z.string().meta({ description: 'What log and audit record know it by.' }),
  roles: z.array(z.string()),
  createdAt: moment,
  disabledAt: maybe,
});

export const keyItem = z.strictObject({
  name: z.string().meta({ description: 'The keyid again, as every item of a list has a name.' }),
  keyid: z.string(),
  label: z.string().nullable(),
  status: z.enum(['active', 'expiring', 'superseded', 'not yet valid', 'expired', 'revoked']),
  notBefore: moment,
  notAfter: moment,
  roleSubset: z.array(z.string()).nullable(),
  allow: z.array(z.string()).nullable(),
  certificateUri: z.string().nullable(),
  lastUsed: maybe,
});
export const ownKeyItem = keyItem.extend({
  calls: z.int().min(0),
  signing: z.boolean().meta({ description: 'Whether this is the key that signed the call.' }),
  successor: z.string().nullable(),
});

export const grantItem = z.strictObject({
  name: z.string(),
  id: z.string(),
  consumer: z.string(),
  role: z.string(),
  status,
  requestedAt: moment,
  decidedAt: maybe,
});

export const roleItem = z.strictObject({
  name: z.string(),
  grantable: z.boolean().meta({ description: 'Whether a consumer may have it for the asking.' }),
  routes: z.array(z.string()).meta({ description: 'The routes that ask for this very role.' }),
});

export const usageItem = z.strictObject({
  name: z.string().meta({ description: 'The consumer.' }),
  calls: z.int().min(0),
  lastUsed: maybe,
  keys: z.array(z.strictObject({ keyid: z.string(), calls: z.int().min(0), lastUsed: maybe })),
});

export const problemDocument = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.string(),
  detail: z.string(),
  errors: z.array(z.strictObject({ path: z.string(), detail: z.string() })).optional(),
});

export function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

export function isoTimeOrNull(seconds: number | undefined): string | null {
  return seconds === undefined ? null : isoTime(seconds);
}
