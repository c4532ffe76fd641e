/** What may be said of a person. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { passwordPolicy } from '../../src/accounts/password-policy.ts';
import { emailFaults, isEmailAddress, nameFaults, personFaults } from '../../src/accounts/person.ts';

describe('a name', () => {
  it.each([
    'Ada',
    'Ó Súilleabháin',
    '李',
    'محمد',
    'नी\u200dल',
    "O'Brien-Smith, Jr.",
    "Robert'); DROP TABLE accounts;--",
    '<img src=x onerror=alert(1)>',
    '%s%n',
    'x'.repeat(100),
    '😀'.repeat(100),
  ])('may be %s', (name) => {
    expect(nameFaults('firstName', name)).toEqual([]);
  });

  it.each([
    ['nothing', ''],
    ['spaces', '  \u00a0 '],
    ['101 characters', 'x'.repeat(101)],
    ['a great deal', 'x'.repeat(60_000)],
    ['a null byte', 'Ada\u0000'],
    ['a line break', 'Ada\r\nSet-Cookie: a=b'],
    ['a separator of lines', 'Ada\u2028'],
    ['a turn of direction', 'Ada\u202egnp.exe'],
    ['half a character', 'Ada\udc00'],
    ['a C1 control', 'Ada\u009b31m'],
  ])('is refused: %s', (_, name) => {
    expect(nameFaults('lastName', name)).toMatchObject([{ path: 'lastName' }]);
  });
});

describe('an e-mail address', () => {
  it.each([
    'ada@example.com',
    "o'brien+news@mail.example.co.uk",
    'A_B-C@EXAMPLE.COM',
    `${'a'.repeat(64)}@example.com`,
  ])('may be %s', (email) => {
    expect(emailFaults(email)).toEqual([]);
  });

  it.each([
    '',
    'ada',
    'ada@',
    '@example.com',
    'ada@example',
    'ada@@example.com',
    'ada@b@example.com',
    'ada..l@example.com',
    '.ada@example.com',
    'ada @example.com',
    ' ada@example.com',
    'ada@example.com\n',
    'ada@exam\u0000ple.com',
    'ada@example.com\r\nBcc: eve@example.com',
    'Ada <ada@example.com>',
    '"ada lovelace"@example.com',
    'ada@[127.0.0.1]',
    'ada@-example.com',
    'ad\u0430@example.com',
    'ada@example.com, eve@example.com',
    "ada@example.com' OR '1'='1",
    `${'a'.repeat(65)}@example.com`,
    `ada@${'a.'.repeat(130)}com`,
    'a'.repeat(60_000),
    `${'a'.repeat(30_000)}@`,
  ])('is refused: %j', (email) => {
    expect(emailFaults(email)).toMatchObject([{ path: 'email' }]);
  });

  it('is judged, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        if (isEmailAddress(text)) expect(text).toMatch(/^[\x21-\x7e]+@[\x21-\x7e]+\.[A-Za-z]{2,}$/);
      }),
    );
  });
});

describe('a person', () => {
  it('is told every fault at once, each by its path', async () => {
    const policy = await passwordPolicy();
    const faults = personFaults({ firstName: '', lastName: '\n', email: 'x', password: 'y' }, policy);
    expect(faults.map(({ path }) => path)).toEqual(['firstName', 'lastName', 'email', 'password']);
    expect(personFaults({}, policy)).toEqual([]);
  });

  it.each([
    ['ada.lovelace@example.com', 'Ada.Lovelace@example.com'],
    ['ada.lovelace@example.com', 'ADA.LOVELACE'],
    ['x@example.com', 'adalovelace'],
    ['x@example.com', 'Ada Lovelace'],
  ])('of the address %s may not choose the password %s', async (email, password) => {
    const policy = await passwordPolicy();
    const draft = { firstName: 'Ada', lastName: 'Lovelace', email, password };
    expect(personFaults(draft, policy)).toMatchObject([{ path: 'password' }]);
  });
});
