/**
 * `/v1/keys`: a consumer sees its own keys, and puts a successor in the place of the key that signs.
 * @module
 */
import { epochSeconds } from '../../../clock.ts';
import { type Consumer, type ConsumerKey, effectiveRoles } from '../../../consumers/consumer.ts';
import { checkOverlap } from '../../../consumers/key-draft.ts';
import { issueKey, type Succession, successorOf } from '../../../consumers/registration.ts';
import { CountersignError } from '../../../errors.ts';
import type { Route } from '../../call.ts';
import { checkInput, refuseInput } from '../api-input.ts';
import { endpointRoute } from '../endpoint-route.ts';
import { readerRoute } from '../reader-route.ts';
import { issuedBody } from './consumers.ts';
import { checkIfMatch } from './entity-tag.ts';
import { keyItemOf, knownKey } from './keys.ts';
import { refuseBeyond } from './operator-roles.ts';
import { pageOfAll } from './paging.ts';
import type { ManagementParts } from './parts.ts';
import { isoTime, listOf, ownKeyItem, paging, rotatedKey, rotation } from './schemas.ts';

/** For so long after an operator issued a key may its line be carried on without one. */
const VOUCHED_FOR = 365 * 24 * 3600;

const ROTATED = {
  201: {
    description: 'The successor. The secret is shown once.',
    schema: rotatedKey,
    headers: { Location: 'The key, for operators.' },
  },
};

export function listOwnKeys({ consumers, clock }: ManagementParts): Route {
  return readerRoute({
    name: 'own-keys.list',
    role: 'any',
    schema: { query: paging },
    selfService: true,
    description: {
      summary: "List the caller's own keys, and how they are used",
      details: 'What is counted is written every few seconds.',
      answers: { 200: { description: 'A page; revoked keys are in it too.', schema: listOf(ownKeyItem) } },
    },
    read({ query, context }) {
      const now = epochSeconds(clock);
      const { consumer = '', keyid } = context;
      const item = (key: ConsumerKey) => ({
        ...keyItemOf(consumers, key, now),
        calls: consumers.usageOf(key.keyid)?.calls ?? 0,
        signing: key.keyid === keyid,
        successor: key.successor ?? null,
      });
      const keys = consumers.keysOf(consumer);
      return { body: pageOfAll(`own keys of ${consumer}`, keys, query, (key) => key.keyid, item) };
    },
  });
}

export function rotateOwnKey(parts: ManagementParts): Route {
  const schema = { body: rotation.optional() };
  return endpointRoute(
    {
      name: 'own-key.rotate',
      role: 'any',
      idempotency: 'nonce',
      issuesSecret: true,
      parameters(input) {
        checkIfMatch(input.ifMatch, undefined);
        const { overlap } = checkInput(schema, input).body ?? {};
        return { overlap, narrowed: input.narrowed };
      },
      loadState(tx, { overlap, narrowed }, { context, now }) {
        const { consumer: name, keyid } = context;
        const old = knownKey(tx.consumers, { name: name ?? '', keyid: keyid ?? '' });
        if (narrowed)
          throw forbidden(
            'A narrowed call may not get a key that grants more; leave Countersign-Narrow out.',
          );
        if (now - old.key.vouchedAt >= VOUCHED_FOR)
          throw forbidden('This line of keys has rotated itself for a year: an operator must renew it.');
        return succession(parts, old, now, overlap);
      },
      updateState: (drawn) => ({ ...drawn, vouchedAt: drawn.key.vouchedAt }),
      apply: putInPlace,
      getResponse: rotatedAnswer,
      audit: rotationEvent,
    },
    {
      schema,
      selfService: true,
      description: {
        summary: 'Rotate the key that signs, once',
        details:
          'The successor has its label, role subset, addresses, certificate name and length of life. 365 days after an operator issued the line, an operator must renew it.',
        answers: ROTATED,
      },
    },
    parts,
  );
}

/** The same by an operator, who vouches for the successor. */
export function rotateKey(parts: ManagementParts): Route {
  const schema = { body: rotation.optional() };
  return endpointRoute(
    {
      name: 'key.rotate',
      role: 'operator:keys',
      idempotency: 'nonce',
      issuesSecret: true,
      parameters(input) {
        checkIfMatch(input.ifMatch, undefined);
        return { params: input.params, overlap: checkInput(schema, input).body?.overlap };
      },
      loadState(tx, { params, overlap }, { context, now }) {
        const old = knownKey(tx.consumers, params);
        refuseBeyond(context, old.consumer.roles);
        return succession(parts, old, now, overlap);
      },
      updateState: (drawn, _parameters, { now }) => ({ ...drawn, vouchedAt: now }),
      apply: putInPlace,
      getResponse: rotatedAnswer,
      audit: rotationEvent,
    },
    {
      schema,
      description: { summary: "Rotate a consumer's key", answers: ROTATED },
    },
    parts,
  );
}

interface Drawn extends Succession {
  readonly consumer: Consumer;
  readonly key: ConsumerKey;
  readonly fresh: ReturnType<typeof issueKey>;
}

interface Rotated extends Drawn {
  readonly vouchedAt: number;
}

/** The successor with its secret, which is drawn here; refused where the key can't have one. */
function succession(
  { vault }: Pick<ManagementParts, 'vault'>,
  { consumer, key }: Pick<Drawn, 'consumer' | 'key'>,
  now: number,
  overlap: number | undefined,
): Drawn {
  if (overlap !== undefined) refuseInput(checkOverlap(key, now, overlap));
  const succession = successorOf(key, now, overlap);
  return { consumer, key, ...succession, fresh: issueKey(vault, consumer.name, succession.draft, now) };
}

async function putInPlace(
  tx: Parameters<Parameters<ManagementParts['commitGroup']['run']>[1]>[0],
  { key, fresh, previousNotAfter, vouchedAt }: Rotated,
): Promise<void> {
  await tx.consumers.addKey({ ...fresh.key, vouchedAt });
  await tx.consumers.updateKey(key.keyid, { notAfter: previousNotAfter, successor: fresh.key.keyid });
}

function rotatedAnswer({ consumer, fresh, previousNotAfter }: Rotated) {
  const { keyid } = fresh.key;
  return {
    status: 201,
    headers: { location: `/v1/consumers/${consumer.name}/keys/${keyid}` },
    body: {
      ...issuedBody(fresh, effectiveRoles(consumer.roles, fresh.key)),
      previousValidUntil: isoTime(previousNotAfter),
    },
  };
}

function rotationEvent({ consumer, key, fresh, previousNotAfter }: Rotated) {
  const detail = {
    consumer: consumer.name,
    successor: fresh.key.keyid,
    previousValidUntil: previousNotAfter,
  };
  return { subject: key.keyid, detail };
}

function forbidden(detail: string): CountersignError {
  return new CountersignError('key-forbidden', detail);
}
