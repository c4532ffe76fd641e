/**
 * People in front of a real gateway: accounts in its store, and unsigned calls over the wire.
 * @module
 */
import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { generateSync } from 'otplib';
import { expect, onTestFinished } from 'vitest';
import { type Account, generateAccountId } from '../../../src/accounts/account.ts';
import { Passwords } from '../../../src/accounts/password.ts';
import {
  confirmEnrolment,
  type DrawnEnrolment,
  drawEnrolment,
  enrol,
} from '../../../src/accounts/second-factor.ts';
import { epochSeconds } from '../../../src/clock.ts';
import type { ApiDocument } from '../../../src/gateway/routes/management/openapi.ts';
import { startTestGateway, type TestGateway, type TestGatewayOptions } from '../../../src/testing.ts';
import { documentedPath, faultsOf } from '../api-document.ts';

export const EMAIL = 'ada@example.org';
export const PASSWORD = 'a good long password';
const PASSWORD_HASH = new Passwords().hash(PASSWORD);

export interface PersonCall {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** An object is sent as JSON, text as it is. */
  readonly body?: unknown;
  readonly bearer?: string;
  readonly basic?: readonly [string, string];
}

export interface PersonReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** Undefined where the answer is none. */
  readonly json: PersonBody;
}

/** What may stand in an answer; which of it does is for the test to say. */
export interface PersonBody {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly csrf: string;
  readonly code: string;
  readonly uri: string;
  readonly svg: string;
  readonly recoveryCodes: readonly string[];
  readonly keys: readonly Readonly<Record<string, unknown>>[];
  readonly roles: readonly string[];
  readonly [member: string]: unknown;
}

export interface PeopleScene {
  readonly gateway: TestGateway;
  call(call: PersonCall): Promise<PersonReply>;
  addAccount(email: string, ...roles: string[]): Promise<Account>;
  /** Enrols behind the gateway's back. @param handed leaves it to be confirmed by a login. */
  enrol(account: Account, handed?: boolean): Promise<DrawnEnrolment>;
  /** What the app shows, so many seconds from now. */
  code(enrolment: { readonly uri: string }, seconds?: number): string;
  logIn(more?: Readonly<Record<string, unknown>>): Promise<PersonReply>;
  whoami(bearer: string): Promise<PersonReply>;
}

/** Answers to `localhost`, whatever its port, so that a restart and a second process have the same name. */
export async function peopleScene(options: TestGatewayOptions = {}): Promise<PeopleScene> {
  const settings = { origins: ['http://localhost'], ...options.settings };
  const gateway = await startTestGateway({ ...options, settings });
  onTestFinished(() => gateway.close());
  const { store, clock, port } = gateway;
  const { commitGroup, vault } = store;

  const document = (await send(port, { path: '/openapi.json' })).json as unknown as ApiDocument;
  /** Every answer is held against the document of the API, whatever the test is about. */
  const call = async (given: PersonCall) => {
    const { method = 'GET', path: target } = given;
    const reply = await send(port, given);
    const path = documentedPath(document, target);
    const { status, headers, text, json } = reply;
    const answered = {
      method,
      status,
      type: headers['content-type'] as string,
      body: text === '' ? undefined : json,
    };
    if (path !== undefined && document.paths[path]?.[method.toLowerCase()]) {
      expect(faultsOf(document, { ...answered, path })).toBe('');
    }
    return reply;
  };
  const now = () => epochSeconds(clock);
  const code = ({ uri }: { readonly uri: string }, seconds = 0) =>
    generateSync({ secret: new URL(uri).searchParams.get('secret') ?? '', epoch: now() + seconds });

  return {
    gateway,
    call,
    code,
    async addAccount(email, ...roles) {
      const id = generateAccountId();
      const passwordHash = await PASSWORD_HASH;
      const person = { firstName: 'Ada', lastName: 'Lovelace', email, roles, passwordHash, createdAt: now() };
      await commitGroup.run('add an account', ({ accounts }) => accounts.add({ id, ...person }));
      return (await store.accounts.find(id)) as Account;
    },
    async enrol({ id, email }, handed = false) {
      const drawn = drawEnrolment(email);
      await commitGroup.run('enrol', async ({ accounts }) => {
        await enrol(accounts, vault, id, drawn, handed);
        if (!handed) await confirmEnrolment(accounts, vault, id, code(drawn), now());
      });
      if (!handed) clock.advance(30);
      return drawn;
    },
    logIn: (more = {}) =>
      call({ method: 'POST', path: '/v1/login', body: { email: EMAIL, password: PASSWORD, ...more } }),
    whoami: (bearer) => call({ path: '/v1/whoami', bearer }),
  };
}

/** A key of its own for every call that wants one. */
export function idempotencyKey(): Record<string, string> {
  return { 'Idempotency-Key': `"${randomUUID()}"` };
}

function send(
  port: number,
  { method = 'GET', path, headers = {}, body, bearer, basic }: PersonCall,
): Promise<PersonReply> {
  const fields: Record<string, string> = { Host: 'localhost' };
  if (bearer !== undefined) fields.Authorization = `Bearer ${bearer}`;
  if (basic) fields.Authorization = `Basic ${Buffer.from(basic.join(':')).toString('base64')}`;
  if (body !== undefined && typeof body !== 'string') fields['Content-Type'] = 'application/json';
  const bytes =
    body === undefined ? undefined : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  if (bytes) fields['Content-Length'] = String(bytes.length);
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, method, path, headers: { ...fields, ...headers } });
    sent.on('error', reject).on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('error', reject).on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const isJson = /json/.test(response.headers['content-type'] ?? '');
        const json = isJson && text !== '' ? JSON.parse(text) : undefined;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json });
      });
    });
    sent.end(bytes);
  });
}
