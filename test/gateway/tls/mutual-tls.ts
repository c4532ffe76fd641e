/**
 * A pipeline behind TLS that asks callers for certificates, with certificates of all kinds to call it with.
 * @module
 */
import { once } from 'node:events';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { onTestFinished } from 'vitest';
import { epochSeconds } from '../../../src/clock.ts';
import { KeyDirectory } from '../../../src/consumers/key-directory.ts';
import { addConsumer, type IssuedKey } from '../../../src/consumers/registration.ts';
import type { Context, Route } from '../../../src/gateway/call.ts';
import { Peers } from '../../../src/gateway/peer.ts';
import { endpointRoute } from '../../../src/gateway/routes/endpoint-route.ts';
import { startTestGateway, type TestGateway } from '../../../src/testing.ts';
import { raising } from '../idempotency/counter.ts';
import { type PipelineUnderTest, signedRoute, startPipeline } from '../pipeline-under-test.ts';
import {
  type Answer,
  bytesOf,
  Connection,
  type Draft,
  type RawRequest,
  sign,
  verifyAnswer,
} from '../wire.ts';
import { type Identity, OpensslRoot } from './openssl-certificates.ts';

export const SHOP = 'spiffe://example.com/shop';

export class MutualTls {
  readonly gateway: TestGateway;
  readonly pipeline: PipelineUnderTest;
  readonly root: OpensslRoot;
  private readonly slow: Slow;
  private made = 0;

  private constructor(gateway: TestGateway, pipeline: PipelineUnderTest, root: OpensslRoot, slow: Slow) {
    this.gateway = gateway;
    this.pipeline = pipeline;
    this.root = root;
    this.slow = slow;
  }

  /** Its peers on this machine are trusted proxies, whose forwarding headers are believed. */
  static async start(): Promise<MutualTls> {
    const root = new OpensslRoot();
    const gateway = await startTestGateway();
    const slow = new Slow();
    const { store, clock } = gateway;
    const parts = { clock, keys: new KeyDirectory(store.consumers, store.vault) };
    const description = { summary: 'Raise a counter.', answers: {} };
    const { commitGroup, vault } = store;
    const raise = endpointRoute(
      raising('nonce', { parameters: () => 'tea' }),
      { schema: null, description },
      { ...parts, commitGroup, vault, skew: 30, keyLife: 3600 },
    );
    const route = signedRoute((ctx) => {
      ctx.body = 'here';
    });
    const required: Partial<Route> = { clientCertificate: 'required' };
    const routes = {
      '/open': { GET: route },
      '/optional': { GET: { ...route, clientCertificate: 'optional' } satisfies Route },
      '/required': { GET: { ...route, ...required } },
      '/slow': { GET: signedRoute((ctx) => slow.answer(ctx)) },
      '/counter': { POST: raise },
      '/required-counter': { POST: { ...raise, ...required } },
    };
    const tls = { identity: root.leaf('IP:127.0.0.1'), clientRoots: root.trust };
    const pipeline = await startPipeline(gateway, routes, { peers: new Peers(['127.0.0.1']) }, tls);
    return new MutualTls(gateway, pipeline, root, slow);
  }

  async close(): Promise<void> {
    await this.pipeline.close();
    await this.gateway.close();
    this.root.remove();
  }

  /** A certificate of the trusted root, for clients. */
  client(names = `URI:${SHOP}`, options: { usage?: string; days?: number; ca?: boolean } = {}): Identity {
    return this.root.leaf(names, { usage: 'clientAuth', ...options });
  }

  /** A consumer of its own with a key, which is bound where a name is given. */
  issue(certificateUri?: string): Promise<IssuedKey> {
    const { store, clock } = this.gateway;
    const consumer = { name: `caller-${++this.made}`, roles: ['counters'] };
    return store.commitGroup.run('add', (tx) =>
      addConsumer(tx.consumers, store.vault, consumer, epochSeconds(clock), { certificateUri }),
    );
  }

  /** A connection, closed when the test ends. @param identity the client's; none where left out. */
  async open(identity?: Identity, options: ConnectionOptions = {}): Promise<OpenConnection> {
    // Certificates begin when they are made, after the test's clock was stopped.
    this.gateway.clock.set(Date.now());
    const shown = identity && { key: identity.key, cert: identity.chain };
    const target = { host: '127.0.0.1', port: this.pipeline.port, ca: this.root.trust };
    const socket = connect({ ...target, ...shown, ...options });
    onTestFinished(() => {
      socket.destroy();
    });
    await once(socket, 'secureConnect');
    return new OpenConnection(this.pipeline, socket);
  }

  /** Lets the calls to `/slow` go on that are under way. */
  release(): void {
    this.slow.release();
  }

  /** Resolves once so many calls to `/slow` are under way. */
  slowCalls(count: number): Promise<void> {
    return this.slow.until(count);
  }
}

export class OpenConnection {
  readonly socket: TLSSocket;
  readonly wire: Connection;
  private readonly pipeline: PipelineUnderTest;

  constructor(pipeline: PipelineUnderTest, socket: TLSSocket) {
    this.pipeline = pipeline;
    this.socket = socket;
    this.wire = Connection.over(socket);
  }

  get isClosed(): boolean {
    return this.socket.closed;
  }

  sign(key: IssuedKey, target: string, draft: Draft = {}): RawRequest {
    return sign(this.pipeline, key, { method: 'GET', target, ...draft });
  }

  /** Sends a request; the answer must bear a good signature. */
  async send(key: IssuedKey, request: RawRequest): Promise<Answer> {
    this.wire.write(bytesOf(request));
    const answer = await this.wire.next();
    if (!answer) throw new Error('the connection was closed without an answer');
    verifyAnswer(answer, request, key, 'https');
    return answer;
  }

  get(key: IssuedKey, target: string, draft?: Draft): Promise<Answer> {
    return this.send(key, this.sign(key, target, draft));
  }
}

/** Calls that wait until the test lets them go on. */
class Slow {
  private waiting: (() => void)[] = [];
  private told = () => {};

  async answer(ctx: Context): Promise<void> {
    await new Promise<void>((resolve) => {
      this.waiting.push(resolve);
      this.told();
    });
    ctx.body = 'at last';
  }

  async until(count: number): Promise<void> {
    while (this.waiting.length < count) {
      await new Promise<void>((resolve) => {
        this.told = resolve;
      });
    }
  }

  release(): void {
    for (const go of this.waiting.splice(0)) go();
  }
}
