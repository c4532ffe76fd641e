/**
 * The gateway as the program sees it that starts one: what may be given, and what is had.
 * @module
 */
import type { Logger } from 'pino';
import type { Pacing } from '../client/index.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import type { Reload } from '../config/reload.ts';
import type { HostEndpoint } from '../gateway/routes/host-endpoints.ts';
import type { StartUpTask } from '../gateway/start-up.ts';
import type { Deliver } from '../idempotency/delivery.ts';
import type { SqliteStore } from '../storage/sqlite/store.ts';

export interface GatewayOptions {
  readonly clock?: Clock;
  readonly logger?: Logger;
  /**
   * Endpoints of your own, which share the gateway's promises: each happens once for each signed message or
   * Idempotency-Key, and what it keeps in `tx.state` and sends by `tx.outbox` commits with its record or not at all.
   *
   *     const count: Endpoint<string, number, { name: string; value: number }, 'counters'> = {
   *       name: 'counter.raise',
   *       role: 'counters',
   *       idempotency: 'nonce',
   *       parameters: ({ params }) => params.name as string,
   *       loadState: async (tx, name) => ((await tx.state.get('counters', name)) as number | undefined) ?? 0,
   *       updateState: (value, name) => ({ name, value: value + 1 }),
   *       apply: (tx, { name, value }) => tx.state.put('counters', name, value),
   *       getResponse: ({ value }) => ({ status: 200, body: { value } }),
   *       audit: ({ name, value }) => ({ subject: `counter:${name}`, detail: { value } }),
   *     };
   *     await startGateway(config, {
   *       endpoints: [{ method: 'POST', path: '/counters/{name}', endpoint: count }],
   *     });
   */
  readonly endpoints?: readonly HostEndpoint[];
  /**
   * What is to be done once before the first request is served, such as warming a cache: one after the other, each with
   * a time limit. The start stops with the name of the task that fails.
   */
  readonly startUp?: readonly StartUpTask[];
  /** What takes the messages of `tx.outbox`, by topic. A topic without one waits. */
  readonly deliver?: Readonly<Record<string, Deliver>>;
  /** Ends a start that waits for the gateway's certificate; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** How often the gateway looks for its next certificate, and when it asks for it. */
  readonly certificatePacing?: Partial<Pacing>;
}

export interface Gateway {
  /** The first public origin: what a caller on this machine puts before a path. */
  readonly url: string;
  readonly port: number;
  readonly adminPort: number | undefined;
  /** The demo consumer's credentials file, where there is a demo consumer. */
  readonly demoFile: string | undefined;
  readonly store: SqliteStore;
  /**
   * Follows a new configuration at once, as far as that needs no restart; calls in flight end on the routes that they
   * began with. What waits for a restart is named in the log, and in the answer.
   */
  reload(config: Config): Reload;
  /** Finishes what is in flight, refuses new connections, closes the database. */
  close(): Promise<void>;
}
