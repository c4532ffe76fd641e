/**
 * A gateway in the test's own process: the real one, on a free port, under a clock that the test sets.
 * @module
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Credentials,
  type SignedFetch,
  type SignedFetchOptions,
  signedFetch,
  signingKey,
} from '../client/index.ts';
import { epochSeconds } from '../clock.ts';
import { loadConfig } from '../config/config.ts';
import type { ConsumerChanges } from '../consumers/consumer.ts';
import { addConsumer, type IssuedKey } from '../consumers/registration.ts';
import { type Gateway, type GatewayOptions, startGateway } from '../main.ts';
import type { SqliteStore } from '../storage/sqlite/store.ts';
import { type Cassette, readCassette } from './cassette.ts';
import { seededNonces } from './seeded-nonces.ts';
import { TestClock } from './test-clock.ts';

/** A consumer with a key of the test's choosing, which is good at any time that the clock is set to. */
export interface TestConsumer extends Credentials {
  readonly name: string;
  /** Default: none. */
  readonly roles?: readonly string[];
}

export interface TestGatewayOptions extends GatewayOptions {
  /** Default: one that stands at the first moment of the cassette, or at now. */
  readonly clock?: TestClock;
  /** As in the YAML file: routes, limits, roles … */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Consumers to register, such as the one that a cassette was recorded with. */
  readonly consumers?: readonly TestConsumer[];
  /**
   * A cassette, or its file, that is to be replayed: the gateway answers to the origins that its requests name, and to
   * no others.
   */
  readonly cassette?: Cassette | string;
  /** Makes the nonces of `signedFetch` the same in every run. Default: they are random. */
  readonly seed?: string | number;
  /** A data folder to use and to keep. Without one, a temporary folder is made, and removed at the end. */
  readonly folder?: string;
}

export interface TestGateway extends Gateway {
  readonly clock: TestClock;
  readonly folder: string;
  /** The demo consumer's credentials. */
  readonly credentials: { readonly keyid: string; readonly secret: string; readonly url?: string };
  /** Registers a consumer with a first key. */
  addConsumer(name: string, ...roles: string[]): Promise<IssuedKey>;
  /**
   * A client of this gateway, by its clock and its seeded nonces; closed with it. Paths are resolved against it.
   * @param credentials default: the demo consumer's.
   */
  signedFetch(credentials?: Credentials, options?: SignedFetchOptions): SignedFetch;
}

/**
 * Starts a gateway on a free loopback port.
 *
 *     const gateway = await startTestGateway({ seed: 1 });
 *     const fetch = gateway.signedFetch();
 *     await fetch('/v1/echo', { method: 'POST', body: '{"hello":"world"}' });
 *     gateway.clock.advance(3600);
 *     await gateway.close();
 *
 * @throws as `startGateway` does, `cassette-invalid`, and `credentials-invalid` or `consumer-invalid` for `consumers`.
 */
export async function startTestGateway(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const { clock: given, settings, consumers = [], cassette: recorded, seed, folder: kept, ...rest } = options;
  const cassette = typeof recorded === 'string' ? readCassette(recorded) : recorded;
  const clock = given ?? new TestClock(firstMoment(cassette));
  const folder = kept ?? mkdtempSync(join(tmpdir(), 'countersign-test-'));
  const nonces = seed === undefined ? {} : { nonce: seededNonces(seed) };
  const clients: SignedFetch[] = [];
  let gateway: Gateway | undefined;

  async function close(): Promise<void> {
    for (const client of clients) client.close();
    await gateway?.close();
    if (kept === undefined) rmSync(folder, { recursive: true, force: true });
  }

  try {
    const variables: Record<string, string> = {
      COUNTERSIGN_DATA: join(folder, 'data'),
      COUNTERSIGN_PORT: '0',
      COUNTERSIGN_CONFIG: join(folder, 'config.yaml'),
    };
    mkdirSync(folder, { recursive: true });
    // JSON is YAML.
    const all = { ...settings, ...(cassette && originSettings(cassette, settings)) };
    writeFileSync(variables.COUNTERSIGN_CONFIG as string, JSON.stringify(all));
    gateway = await startGateway(loadConfig(variables), { ...rest, clock });
    const { store, port } = gateway;
    await registerAll({ store, clock }, consumers);
    const credentials: TestGateway['credentials'] = JSON.parse(
      readFileSync(gateway.demoFile as string, 'utf8'),
    );
    return {
      ...gateway,
      clock,
      folder,
      credentials,
      addConsumer: (name, ...roles) =>
        store.commitGroup.run('add a consumer', (tx) =>
          addConsumer(tx.consumers, store.vault, { name, roles }, epochSeconds(clock)),
        ),
      signedFetch(who = credentials, choices = {}) {
        // Never the url of the credentials: it may be that of the real gateway.
        const own = { ...who, url: `http://127.0.0.1:${port}` };
        const client = signedFetch(own, { clock, ...nonces, ...choices });
        clients.push(client);
        return client;
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function firstMoment(cassette: Cassette | undefined): number | undefined {
  const first = cassette?.exchanges[0];
  return first && first.at * 1000;
}

/** A request over https reaches the gateway through a proxy, which `replay` plays. */
function originSettings({ origins }: Cassette, settings: TestGatewayOptions['settings'] = {}) {
  const trusted = Array.isArray(settings.trustedProxies) ? settings.trustedProxies : [];
  const isProxied = origins.some((origin) => origin.startsWith('https:'));
  return { origins, ...(isProxied && { trustedProxies: [...trusted, '127.0.0.1'] }) };
}

/** 2106-02-07: as far as the nonce store counts. A test may set its clock to any day before. */
const NEVER = 2 ** 32 - 1;

/** What a kept folder holds from an earlier start is let be. */
async function registerAll(
  { store, clock }: { readonly store: SqliteStore; readonly clock: TestClock },
  consumers: readonly TestConsumer[],
): Promise<void> {
  const { vault } = store;
  for (const { name, roles = [], ...credentials } of consumers) {
    const { keyid, secret } = signingKey(credentials);
    if (store.consumers.findKey(keyid)) continue;
    const chosen = {
      keyid,
      sealedSecret: vault.seal('key', keyid, secret.export()),
      notBefore: 0,
      notAfter: NEVER,
    };
    await store.commitGroup.run('add a consumer of the test', (tx) => {
      const changes: ConsumerChanges = {
        ...tx.consumers,
        addKey: (key) => tx.consumers.addKey({ ...key, ...chosen }),
      };
      return addConsumer(changes, vault, { name, roles }, epochSeconds(clock));
    });
  }
}
