/**
 * People as the pipeline meets them: accounts in a started gateway's store, with passwords that are kept as text so that
 * a test is quick, and all that they may present.
 * @module
 */
import { randomUUID } from 'node:crypto';
import { type Account, generateAccountId } from '../../src/accounts/account.ts';
import { SESSION_COOKIE, startSession } from '../../src/accounts/session.ts';
import { epochSeconds } from '../../src/clock.ts';
import { KeyDirectory } from '../../src/consumers/key-directory.ts';
import { type PeopleParts, peopleParts } from '../../src/gateway/routes/people/parts.ts';
import { FailureBuckets } from '../../src/limits/failure-bucket.ts';
import type { TestGateway } from '../../src/testing.ts';
import { PlainPasswords } from '../accounts/login-desk.ts';
import { type Answer, sendBytes, type Target } from './wire.ts';

export const PASSWORD = 'a good long: password';

export interface Session {
  /** `name=value`. */
  readonly cookie: string;
  readonly csrf: string;
}

export class PeopleUnderTest {
  readonly passwords = new PlainPasswords();
  readonly buckets: FailureBuckets;
  readonly parts: PeopleParts;
  private readonly gateway: TestGateway;

  /** @param origin the issuer and audience of tokens. */
  constructor(gateway: TestGateway, origin = () => gateway.url) {
    this.gateway = gateway;
    const { store, clock } = gateway;
    this.buckets = new FailureBuckets({ burst: 200, perSecond: 20 }, clock);
    this.parts = peopleParts({
      clock,
      keys: new KeyDirectory(store.consumers, store.vault),
      commitGroup: store.commitGroup,
      vault: store.vault,
      skew: 30,
      keyLife: 3600,
      accounts: store.accounts,
      passwords: this.passwords,
      failures: this.buckets,
      origin,
    });
  }

  /** Registers somebody, without a second factor. */
  async add(...roles: string[]): Promise<Account> {
    const { store, clock } = this.gateway;
    const id = generateAccountId();
    const passwordHash = await this.passwords.hash(PASSWORD);
    const draft = {
      id,
      firstName: 'Ada',
      lastName: 'Byron',
      email: `${id}@people.example`,
      passwordHash,
      roles,
      createdAt: epochSeconds(clock),
    };
    await store.commitGroup.run('add an account', (tx) => tx.accounts.add(draft));
    return (await store.accounts.find(id)) as Account;
  }

  /** @param roles the token's, all of the account's by default. */
  async token(account: Account, roles: readonly string[] = account.roles): Promise<string> {
    const { store, clock } = this.gateway;
    const family = randomUUID();
    const token = {
      hash: Buffer.from(family.replaceAll('-', '').padEnd(64, '0'), 'hex'),
      family,
      account: account.id,
      generation: account.generation,
      expiresAt: epochSeconds(clock) + 3600,
    };
    await store.commitGroup.run('a family of tokens', (tx) => tx.accounts.refreshTokens.add(token));
    return this.parts.accessTokens.issue(account, roles, family);
  }

  async session(account: Account): Promise<Session> {
    const { store, clock } = this.gateway;
    const { setCookie, csrf } = await store.commitGroup.run('a session', (tx) =>
      startSession(tx, account, epochSeconds(clock)),
    );
    return { cookie: setCookie.split(';')[0] as string, csrf };
  }
}

export const bearer = (token: string): string => `Authorization: Bearer ${token}`;
export const basic = ({ email }: Account, password = PASSWORD): string =>
  `Authorization: Basic ${Buffer.from(`${email}:${password}`).toString('base64')}`;
export const cookie = (session: Session): string => `Cookie: theme=dark; ${session.cookie}; lang=en`;
export const sessionId = ({ cookie }: Session): string => cookie.slice(SESSION_COOKIE.length + 1);

/** What a page of the gateway's own origin sends with a change. */
export const ownPage = ({ port }: Pick<Target, 'port'>, { csrf }: Session): string[] => [
  `Origin: http://127.0.0.1:${port}`,
  `Countersign-Csrf: ${csrf}`,
];

/** An unsigned call, as its lines. @param first method and path. */
export function callUnsigned(
  { port }: Pick<Target, 'port'>,
  first: string,
  fields: readonly string[],
  body?: string,
): Promise<Answer> {
  const length = body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body)}`];
  const lines = [`${first} HTTP/1.1`, `Host: 127.0.0.1:${port}`, ...fields, ...length, '', ''];
  const bytes = Buffer.concat([Buffer.from(lines.join('\r\n'), 'latin1'), Buffer.from(body ?? '')]);
  return sendBytes(port, bytes, first.split(' ')[0]);
}
