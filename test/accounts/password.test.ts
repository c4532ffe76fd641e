/** Passwords: how they are kept, how many are looked at at once, and which may be chosen. */
import { describe, expect, it } from 'vitest';
import { Passwords } from '../../src/accounts/password.ts';
import { passwordPolicy } from '../../src/accounts/password-policy.ts';

describe('a password', () => {
  const passwords = new Passwords();

  it('is kept as argon2id with the parameters of OWASP, under a salt of its own', async () => {
    const [one, other] = await Promise.all([
      passwords.hash('correct horse'),
      passwords.hash('correct horse'),
    ]);
    expect(one).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/);
    expect(other).not.toBe(one);
  });

  it('is verified, and every other is refused', async () => {
    const hash = await passwords.hash('pässword with ünicode');
    expect(await passwords.verify(hash, 'pässword with ünicode')).toBe(true);
    expect(await passwords.verify(hash, 'pässword with ünicodE')).toBe(false);
    expect(await passwords.verify(hash, '')).toBe(false);
  });

  it('is the same however a keyboard sends its accents and spaces', async () => {
    const hash = await passwords.hash('caf\u00e9 au lait');
    expect(await passwords.verify(hash, 'cafe\u0301\u00a0au lait')).toBe(true);
  });

  it('is never the decoy, which takes the same parameters', async () => {
    expect(passwords.isOutdated(passwords.decoy)).toBe(false);
    expect(await passwords.verify(passwords.decoy, '')).toBe(false);
    expect(new Passwords().decoy).not.toBe(passwords.decoy);
  });

  it('is outdated where it was hashed with other parameters', async () => {
    expect(passwords.isOutdated(await passwords.hash('correct horse'))).toBe(false);
    for (const [now, before] of [
      ['m=19456', 'm=12288'],
      ['t=2', 't=3'],
      ['p=1', 'p=4'],
      ['argon2id', 'argon2i'],
    ] as const) {
      expect(passwords.isOutdated(passwords.decoy.replace(now, before))).toBe(true);
    }
  });
});

describe('hashing', () => {
  it('counts each verification, and leaves the event loop free', async () => {
    let verifications = 0;
    const passwords = new Passwords({ onVerify: () => verifications++ });
    let turns = 0;
    let done = false;
    const count = () => {
      turns++;
      if (!done) setImmediate(count);
    };
    setImmediate(count);
    const verified = await Promise.all([1, 2, 3].map(() => passwords.verify(passwords.decoy, 'x')));
    done = true;
    expect([verified, verifications]).toEqual([[false, false, false], 3]);
    expect(turns).toBeGreaterThan(10);
  });

  it('is done two at a time, and refuses what would wait too long', async () => {
    let begun = 0;
    const passwords = new Passwords({ atOnce: 2, mostWaiting: 3, onVerify: () => begun++ });
    const tries = Array.from({ length: 7 }, () => passwords.verify(passwords.decoy, 'x'));
    expect(begun).toBe(2);
    const settled = await Promise.allSettled(tries);
    expect(settled.map(({ status }) => status)).toEqual([
      ...new Array(5).fill('fulfilled'),
      ...new Array(2).fill('rejected'),
    ]);
    expect(settled[6]).toMatchObject({ reason: { code: 'overloaded', headers: { 'Retry-After': '1' } } });
    expect(begun).toBe(5);
    expect(await passwords.verify(passwords.decoy, 'x')).toBe(false);
  });

  it('goes on after one that failed', async () => {
    const passwords = new Passwords({ atOnce: 1, mostWaiting: 1 });
    const settled = await Promise.allSettled([
      passwords.verify('no hash', 'x'),
      passwords.verify(passwords.decoy, 'x'),
    ]);
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  });
});

describe('a new password', () => {
  async function faults(password: string, personal: string[] = []): Promise<string[]> {
    const policy = await passwordPolicy();
    return policy.faults('password', password, personal).map(({ path, detail }) => `${path}: ${detail}`);
  }

  it.each([
    ['six characters', 'python', /at least 8/],
    ['seven characters, each of two UTF-16 units', '😀😁😂😃😄😅😆', /at least 8/],
    ['nothing', '', /at least 8/],
    ['257 characters', 'ab'.repeat(128).concat('c'), /at most 256/],
    ['a common one', 'football', /most common/],
    ['a common one in other letters', 'FootBall', /most common/],
    ['a common one between spaces', ' football  ', /most common/],
    ['a word of a dictionary', 'abdominal', /most common/],
    ['a family name', 'Rodriguez', /most common/],
    ['a null byte', 'correct\u0000horse', /control/],
    ['a line break', 'correct\nhorse', /control/],
    ['an escape sequence', 'correct\u001b[2Jhorse', /control/],
    ['half a character', 'correct horse \ud83d', /control/],
  ])('is refused: %s', async (_, password, why) => {
    const found = await faults(password);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(why);
    expect(found[0]).toMatch(/^password: /);
  });

  it('is refused where it is the person', async () => {
    const ada = ['ada.lovelace@example.com', 'ada.lovelace'];
    expect(await faults('Ada.Lovelace@example.com', ada)).toHaveLength(1);
    expect(await faults('ada.lovelace', ada)).toHaveLength(1);
    expect(await faults('ada.lovelace but longer', ada)).toEqual([]);
  });

  it.each([
    'tr0ub4dor&3x',
    'correct horse battery staple',
    '        x',
    "'); DROP TABLE accounts;--",
    '<script>alert(1)</script>',
    'пароль-не-простой',
    '很长的密码不好猜呀吧',
    '👩‍👩‍👧‍👦 family and friends',
    'x'.repeat(256),
  ])('may be %s', async (password) => {
    expect(await faults(password)).toEqual([]);
  });
});
