/** Endpoints of a host program whose effects can be counted. */
import { CountersignError, type Endpoint, type HostEndpoint } from '../../../src/index.ts';

interface Raised {
  readonly name: string;
  readonly value: number;
}

/** Raises a counter, and sends word of it. */
export function raising(
  idempotency: 'nonce' | 'key',
  more: Partial<Endpoint<string, number, Raised, string>> = {},
): Endpoint<string, number, Raised, string> {
  return {
    name: `counter.raise-by-${idempotency}`,
    role: 'counters',
    idempotency,
    parameters({ params, body }) {
      if (body !== undefined && (body as { by?: unknown }).by !== 1) {
        throw new CountersignError('validation-failed', 'by must be 1');
      }
      return params.name as string;
    },
    loadState: async (tx, name) => ((await tx.state.get('counters', name)) as number | undefined) ?? 0,
    updateState: (value, name) => ({ name, value: value + 1 }),
    async apply(tx, { name, value }) {
      await tx.state.put('counters', name, value);
      await tx.outbox.add({ topic: 'raised', payload: { name, value } });
    },
    getResponse: ({ value }) => ({ status: 201, headers: { location: '/here' }, body: { value } }),
    audit: ({ name, value }) => ({ subject: `counter:${name}`, detail: { value } }),
    ...more,
  };
}

/** One that applies its change and then waits for something else than its transaction. */
const slow = raising('nonce', {
  name: 'counter.slow',
  async apply(tx, { name, value }) {
    await tx.state.put('counters', name, value);
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  },
});

const failing = raising('nonce', {
  name: 'counter.failing',
  async apply(tx, { name, value }) {
    await tx.state.put('counters', name, value);
    throw new CountersignError('conflict', 'on purpose');
  },
});

export const counters: readonly HostEndpoint[] = [
  { method: 'POST', path: '/counters/{name}', endpoint: raising('nonce') },
  { method: 'POST', path: '/keyed/{name}', endpoint: raising('key') },
  { method: 'PUT', path: '/keyed/{name}', endpoint: raising('key', { name: 'counter.put' }) },
  { method: 'PATCH', path: '/keyed/{name}', endpoint: raising('key', { name: 'counter.patch' }) },
  {
    method: 'POST',
    path: '/silent/{name}',
    endpoint: raising('nonce', { name: 'counter.silent', getResponse: () => ({ status: 202 }) }),
  },
  { method: 'POST', path: '/slow/{name}', endpoint: slow },
  { method: 'POST', path: '/failing/{name}', endpoint: failing },
  {
    method: 'POST',
    path: '/secrets/{name}',
    endpoint: raising('nonce', { name: 'counter.secret', issuesSecret: true }),
  },
];
