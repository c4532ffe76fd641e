/**
 * Refresh tokens: opaque, kept as hashes, good once. All that came of one login are a family, which ends 30 days after
 * it. A token that is used a second time was in two hands: the whole family ends, since nobody can tell whose hands
 * are right (RFC 9700 section 4.14.2).
 *
 * One exception, for answers that get lost on the way: the same refresh within 30 seconds under the same
 * Idempotency-Key gets the same answer.
 * @module
 */
import { createHash, randomBytes } from 'node:crypto';
import type { AuditTrail } from '../audit/audit.ts';
import { type Clock, epochSeconds } from '../clock.ts';
import type { KeyVault } from '../consumers/key-vault.ts';
import type { CountersignError } from '../errors.ts';
import type { UnitOfWork } from '../idempotency/run.ts';
import { intersectRoles } from '../security/roles.ts';
import { ACCESS_LIFE, type AccessTokens, tokenInvalid } from './access-token.ts';
import type { Account, AccountChanges, AccountReader } from './account.ts';
import { standingAccount } from './generation.ts';
import type { RefreshToken } from './token-store.ts';

/** Seconds from the login to the end of the family. */
export const FAMILY_LIFE = 30 * 24 * 3600;
/** Seconds. */
export const SAME_ANSWER_FOR = 30;
const TOKEN = /^[A-Za-z0-9_-]{43}$/;

/** What a login and a refresh answer. */
export interface TokenPair {
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Seconds for which the access token is good. */
  readonly expiresIn: number;
}

/** A pair, and what is to be kept of it. */
export interface DrawnTokens {
  readonly pair: TokenPair;
  readonly kept: Omit<RefreshToken, 'usedAt' | 'askedBy' | 'sealedAnswer'>;
}

export interface RefreshTokensParts {
  readonly clock: Clock;
  readonly vault: Pick<KeyVault, 'seal' | 'open'>;
  readonly accounts: AccountReader;
  readonly commitGroup: UnitOfWork<{
    readonly accounts: AccountReader & AccountChanges;
    readonly audit: AuditTrail;
  }>;
  readonly accessTokens: Pick<AccessTokens, 'issue'>;
}

type Outcome = { readonly pair: TokenPair } | { readonly refusal: CountersignError };

export class RefreshTokens {
  private readonly parts: RefreshTokensParts;

  constructor(parts: RefreshTokensParts) {
    this.parts = parts;
  }

  /**
   * Draws the tokens of a new family; before the unit of work in which they are kept, since signing takes a turn.
   * @param roles what was asked for; undefined for all that the account has, whatever that is at a refresh.
   */
  draw(account: Account, roles: readonly string[] | undefined): Promise<DrawnTokens> {
    const family = randomBytes(16).toString('base64url');
    const expiresAt = epochSeconds(this.parts.clock) + FAMILY_LIFE;
    return this.drawMember(account, { family, expiresAt, ...(roles && { roles }) });
  }

  /**
   * Uses a token up, and answers with its successor.
   * @param key the call's Idempotency-Key, undefined where it has none.
   * @throws token-invalid
   */
  async refresh(token: string, key: string | undefined, requestId: string): Promise<TokenPair> {
    const { clock, accounts, vault, commitGroup } = this.parts;
    if (!TOKEN.test(token)) throw unknownToken();
    const now = epochSeconds(clock);
    const hash = tokenHash(token);
    const known = await accounts.refreshTokens.find(hash);
    const account = known && (await standingAccount(accounts, known.account, known.generation));
    if (!known || !account || known.expiresAt <= now) throw unknownToken();

    const drawn = await this.drawMember(account, known);
    const askedBy = key === undefined ? undefined : createHash('sha256').update(key).digest();
    const answer = askedBy && {
      askedBy,
      sealedAnswer: vault.seal('refresh', hash.toString('hex'), Buffer.from(JSON.stringify(drawn.pair))),
    };
    const outcome = await commitGroup.run('refresh a token', async (tx): Promise<Outcome> => {
      // What ended the account's tokens may have come in between.
      if (!(await standingAccount(tx.accounts, known.account, known.generation))) throw unknownToken();
      if (await tx.accounts.refreshTokens.use(hash, now, answer)) {
        await tx.accounts.refreshTokens.add(drawn.kept);
        return { pair: drawn.pair };
      }
      const used = await tx.accounts.refreshTokens.find(hash);
      if (!used) throw unknownToken();
      const first = this.sameAnswer(used, askedBy, now);
      if (first) return { pair: first };
      await tx.accounts.refreshTokens.endFamily(used.family);
      const { account: subject } = used;
      await tx.audit.append({ actor: subject, action: 'token.replayed', subject, requestId });
      // Not thrown: that would keep the family alive.
      return { refusal: replayedToken() };
    });
    if ('refusal' in outcome) throw outcome.refusal;
    return outcome.pair;
  }

  private async drawMember(
    account: Account,
    { family, expiresAt, roles }: Pick<RefreshToken, 'family' | 'expiresAt' | 'roles'>,
  ): Promise<DrawnTokens> {
    const granted = roles ? intersectRoles(account.roles, roles) : account.roles;
    const refreshToken = randomBytes(32).toString('base64url');
    const accessToken = await this.parts.accessTokens.issue(account, granted, family);
    return {
      pair: { accessToken, refreshToken, expiresIn: ACCESS_LIFE },
      kept: {
        hash: tokenHash(refreshToken),
        family,
        account: account.id,
        generation: account.generation,
        expiresAt,
        ...(roles && { roles }),
      },
    };
  }

  private sameAnswer(used: RefreshToken, askedBy: Buffer | undefined, now: number): TokenPair | undefined {
    if (!askedBy || !used.askedBy?.equals(askedBy) || !used.sealedAnswer) return undefined;
    if (used.usedAt === undefined || now - used.usedAt > SAME_ANSWER_FOR) return undefined;
    const opened = this.parts.vault.open('refresh', used.hash.toString('hex'), used.sealedAnswer);
    return JSON.parse(opened.toString()) as TokenPair;
  }
}

function tokenHash(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function unknownToken(): CountersignError {
  return tokenInvalid('This refresh token is not good any more, or never was. Log in again.');
}

function replayedToken(): CountersignError {
  return tokenInvalid(
    'This refresh token was used before, so somebody else may hold it: all tokens of its login were ended. Log in again.',
  );
}
