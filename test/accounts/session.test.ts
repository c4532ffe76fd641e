/** Sessions of browsers: the cookie, what is read of it, and the token against forged calls. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  csrfToken,
  drawSession,
  endedCookie,
  isCsrfToken,
  prolonged,
  readSessionCookie,
  SESSION_COOKIE,
  SESSION_IDLE,
  SESSION_LIFE,
  sessionHash,
} from '../../src/accounts/session.ts';
import { processorTime } from '../own-time.ts';

const NOW = 1_800_000_000;
const ACCOUNT = { id: 'a'.repeat(24), generation: 3 };
const ID = 'Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE';

describe('a session', () => {
  it('is drawn with an id that is kept as a hash alone', () => {
    const { session, setCookie, csrf, expiresIn } = drawSession(ACCOUNT, NOW);
    const id = readSessionCookie(setCookie.split(';')[0]) as string;
    expect(Buffer.from(id, 'base64url')).toHaveLength(32);
    expect(session).toEqual({
      hash: sessionHash(id),
      account: ACCOUNT.id,
      generation: 3,
      createdAt: NOW,
      expiresAt: NOW + SESSION_IDLE,
    });
    expect(session.hash).toHaveLength(32);
    expect(expiresIn).toBe(1800);
    expect(csrf).toBe(csrfToken(id));
    expect(drawSession(ACCOUNT, NOW).setCookie).not.toBe(setCookie);
  });

  it('has a cookie that no page, no other host and no plain connection gets', () => {
    const [pair, ...attributes] = drawSession(ACCOUNT, NOW).setCookie.split('; ');
    expect(pair).toMatch(/^__Host-countersign=[A-Za-z0-9_-]{43}$/);
    expect(attributes.sort()).toEqual(['HttpOnly', 'Max-Age=43200', 'Path=/', 'SameSite=Strict', 'Secure']);
    expect(endedCookie()).toBe('__Host-countersign=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Strict');
  });

  it.each([
    ['at once', 0, undefined],
    ['after a minute less a second', 59, undefined],
    ['after a minute', 60, 60 + SESSION_IDLE],
    ['an hour before its end', SESSION_LIFE - 3600, SESSION_LIFE - 3600 + SESSION_IDLE],
    ['ten minutes before its end', SESSION_LIFE - 600, SESSION_LIFE],
  ])('that is used %s', (_when, after, end) => {
    const { session } = drawSession(ACCOUNT, NOW);
    expect(prolonged(session, NOW + after)).toBe(end && NOW + end);
  });

  it('that has reached its last end is prolonged no more', () => {
    const session = { ...drawSession(ACCOUNT, NOW).session, expiresAt: NOW + SESSION_LIFE };
    expect(prolonged(session, NOW + SESSION_LIFE - 1)).toBeUndefined();
  });
});

describe('the token against forged calls', () => {
  it('is that of its session and of no other', () => {
    expect(isCsrfToken(ID, csrfToken(ID))).toBe(true);
    const other = `${ID.slice(0, -1)}A`;
    for (const wrong of [
      '',
      csrfToken(other),
      csrfToken(ID).slice(1),
      `${csrfToken(ID)}A`,
      ID,
      'é'.repeat(43),
    ]) {
      expect(isCsrfToken(ID, wrong)).toBe(false);
    }
  });
});

describe('the cookie field', () => {
  it.each<[string, string | undefined, string | undefined]>([
    ['is not there', undefined, undefined],
    ['is empty', '', undefined],
    ['has other cookies', 'theme=dark; lang=en', undefined],
    ['has it alone', `${SESSION_COOKIE}=${ID}`, ID],
    ['has it first', `${SESSION_COOKIE}=${ID}; a=b`, ID],
    ['has it last', `a=b; ${SESSION_COOKIE}=${ID}`, ID],
    ['has no spaces', `a=b;${SESSION_COOKIE}=${ID};c=d`, ID],
    ['has cookies without a value, or without a name', `a; =b; ;;${SESSION_COOKIE}=${ID};=`, ID],
    ['names it in a value', `a=${SESSION_COOKIE}=${ID}`, undefined],
    ['has it in another case', `__host-Countersign=${ID}`, undefined],
    ['has a longer name', `x${SESSION_COOKIE}=${ID}; ${SESSION_COOKIE}2=${ID}`, undefined],
    ['has the name alone', SESSION_COOKIE, undefined],
  ])('that %s', (_what, field, expected) => {
    expect(readSessionCookie(field)).toBe(expected);
  });

  it.each([
    ['twice', `${SESSION_COOKIE}=${ID}; ${SESSION_COOKIE}=${ID}`],
    ['twice, empty first', `${SESSION_COOKIE}=; ${SESSION_COOKIE}=${ID}`],
    ['empty', `${SESSION_COOKIE}=`],
    ['quoted', `${SESSION_COOKIE}="${ID}"`],
    ['too short', `${SESSION_COOKIE}=${ID.slice(1)}`],
    ['too long', `${SESSION_COOKIE}=${ID}A`],
    ['of other characters', `${SESSION_COOKIE}=${ID.slice(1)}%`],
    ['with a comma', `${SESSION_COOKIE}=${ID}, a=b`],
  ])('that has it %s is refused', (_what, field) => {
    expect(() => readSessionCookie(field)).toThrowError(expect.objectContaining({ code: 'token-invalid' }));
  });

  const character = fc.constantFrom(...`=; ,"_-aA0%\\\t${SESSION_COOKIE}`);
  const noise = fc.string({ unit: character, maxLength: 40 });

  it('yields the one session that stands in it, or is refused, whatever is around', () => {
    fc.assert(
      fc.property(fc.array(noise, { maxLength: 6 }), fc.nat(6), (parts, place) => {
        const field = [...parts.slice(0, place), `${SESSION_COOKIE}=${ID}`, ...parts.slice(place)].join('; ');
        let read: string | undefined;
        try {
          read = readSessionCookie(field);
        } catch {
          const names = field.split(';').filter((pair) => pair.trim().startsWith(`${SESSION_COOKIE}`));
          return names.length > 1;
        }
        return read === ID;
      }),
      { numRuns: 2000 },
    );
  });

  it('yields nothing that is no session, whatever it holds', () => {
    fc.assert(
      fc.property(fc.oneof(noise, fc.string({ maxLength: 200 })), (field) => {
        try {
          const read = readSessionCookie(field);
          return read === undefined || /^[A-Za-z0-9_-]{43}$/.test(read);
        } catch (error) {
          return (error as { code?: string }).code === 'token-invalid';
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('of the longest header section is read in no time', () => {
    const spent = processorTime(() => {
      for (const text of [';', '=', `${SESSION_COOKIE} `, ' ;', `${SESSION_COOKIE}`]) {
        const field = text.repeat(16_384 / text.length);
        try {
          readSessionCookie(field);
        } catch {
          // A refusal is an answer too.
        }
      }
    });
    expect(spent).toBeLessThan(500);
  });
});
