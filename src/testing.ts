/**
 * The `countersign/testing` export: a gateway in the test's own process, with a clock that the test sets.
 * @module
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from './clock.ts';
import { loadConfig } from './config/config.ts';
import { addConsumer, type IssuedKey } from './consumers/registration.ts';
import { type Gateway, type GatewayOptions, startGateway } from './main.ts';

/** A clock that stands still until it is moved. */
export class TestClock implements Clock {
  private milliseconds: number;

  constructor(at: Date | number = Date.now()) {
    this.milliseconds = Number(at);
  }

  now(): number {
    return this.milliseconds;
  }

  /** Moves by seconds, backwards where they are negative. */
  advance(seconds: number): void {
    this.milliseconds += seconds * 1000;
  }
}

export interface TestGatewayOptions extends GatewayOptions {
  readonly clock?: TestClock;
  /** As in the YAML file: routes, limits, roles … */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** A data folder to use and to keep. Without one, a temporary folder is made, and removed at the end. */
  readonly folder?: string;
}

export interface TestGateway extends Gateway {
  readonly clock: TestClock;
  readonly folder: string;
  /** The demo consumer's credentials. */
  readonly credentials: { readonly keyid: string; readonly secret: string };
  /** Registers a consumer with a first key. */
  addConsumer(name: string, ...roles: string[]): Promise<IssuedKey>;
}

/** Starts a gateway on a free loopback port. */
export async function startTestGateway(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const { clock = new TestClock(), settings, logger } = options;
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'countersign-test-'));
  const variables: Record<string, string> = { COUNTERSIGN_DATA: join(folder, 'data'), COUNTERSIGN_PORT: '0' };
  if (settings) {
    // JSON is YAML.
    variables.COUNTERSIGN_CONFIG = join(folder, 'config.yaml');
    writeFileSync(variables.COUNTERSIGN_CONFIG, JSON.stringify(settings));
  }
  const gateway = await startGateway(loadConfig(variables), logger ? { clock, logger } : { clock });
  const { store } = gateway;
  return {
    ...gateway,
    clock,
    folder,
    credentials: JSON.parse(readFileSync(gateway.demoFile as string, 'utf8')),
    addConsumer: (name, ...roles) =>
      store.commitGroup.run('add a consumer', (tx) =>
        addConsumer(tx.consumers, store.vault, { name, roles }, Math.floor(clock.now() / 1000)),
      ),
    async close() {
      await gateway.close();
      if (options.folder === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}
