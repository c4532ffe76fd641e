/**
 * The management API as its callers meet it: signed calls over the wire, each answer's signature held.
 * @module
 */
import { startTestGateway, type TestGateway, type TestGatewayOptions } from '../../../src/testing.ts';
import { type Answer, type Key, type RawRequest, send, sign, verifyAnswer } from '../wire.ts';

export interface Api {
  readonly gateway: TestGateway;
  /** Registers a consumer through the store. */
  register(name: string, ...roles: string[]): Promise<Caller>;
  close(): Promise<void>;
}

export interface CallOptions {
  readonly body?: unknown;
  readonly headers?: readonly (readonly [string, string])[];
}

/** What may stand in an answer; which of it does is for the test to say. */
export interface Body {
  readonly keyid: string;
  readonly secret: string;
  readonly roles: readonly string[];
  readonly items: readonly { readonly name: string; readonly [member: string]: unknown }[];
  readonly next: string | null;
  readonly code: string;
  readonly detail: string;
  readonly errors: readonly { readonly path: string; readonly detail: string }[];
  readonly [member: string]: unknown;
}

export interface Reply {
  readonly status: number;
  readonly headers: Answer['headers'];
  /** Undefined where there was none. */
  readonly json: Body;
  readonly request: RawRequest;
}

export async function startApi(options: TestGatewayOptions = {}): Promise<Api> {
  const gateway = await startTestGateway(options);
  return {
    gateway,
    async register(name, ...roles) {
      return new Caller(gateway, await gateway.addConsumer(name, ...roles));
    },
    close: () => gateway.close(),
  };
}

export class Caller {
  readonly key: Key;
  private readonly gateway: TestGateway;

  constructor(gateway: TestGateway, key: Key) {
    this.gateway = gateway;
    this.key = key;
  }

  /** The same gateway, with another key. */
  with({ keyid, secret }: Key): Caller {
    return new Caller(this.gateway, { keyid, secret });
  }

  sign(method: string, target: string, { body, headers = [] }: CallOptions = {}): RawRequest {
    const text = typeof body === 'string' ? body : (JSON.stringify(body) ?? '');
    return sign(this.gateway, this.key, { method, target, body: text, headers });
  }

  /** Sends a request, perhaps again; its answer must bear a good signature. */
  async send(request: RawRequest): Promise<Reply> {
    const answer = await send(this.gateway, request);
    verifyAnswer(answer, request, this.key);
    const { status, headers, body } = answer;
    return { status, headers, json: body === '' ? undefined : JSON.parse(body), request };
  }

  call(method: string, target: string, options?: CallOptions): Promise<Reply> {
    return this.send(this.sign(method, target, options));
  }

  get(target: string, options?: CallOptions): Promise<Reply> {
    return this.call('GET', target, options);
  }

  post(target: string, body?: unknown, headers?: CallOptions['headers']): Promise<Reply> {
    return this.call('POST', target, { body, ...(headers && { headers }) });
  }
}

/** What is told of every fault: its path, in order. */
export function pathsOf({ status, json }: Reply): string[] {
  if (status !== 422 || json.code !== 'validation-failed') throw new Error(JSON.stringify({ status, json }));
  return json.errors.map(({ path }) => path);
}

/** The names of the actions on record, with their subjects. */
export function recorded({ gateway }: Api): string[] {
  return [...gateway.store.audit.rows()].map(({ action, subject }) => `${action} ${subject}`);
}
