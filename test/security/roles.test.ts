/** Roles as sets of permissions: what is held, what two grants share. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ANY_ROLE, grants, intersectRoles, isRole } from '../../src/security/roles.ts';

/** Short words over few letters, so that roles nest and share beginnings often. */
const role = fc
  .array(fc.constantFrom('a', 'b', 'ab', 'a-b'), { minLength: 1, maxLength: 4 })
  .map((words) => words.join(':'));
const roles = fc.uniqueArray(role, { maxLength: 5 });

describe('a role', () => {
  it.each(['orders', 'orders:read', 'a', '0', 'a-b:c-d:e', '-', 'anything', 'any:more', 'x'.repeat(128)])(
    '"%s" is one',
    (text) => expect(isRole(text)).toBe(true),
  );

  it.each([
    '',
    ':',
    'orders:',
    ':orders',
    'orders::read',
    'Orders',
    'orders read',
    'orders,read',
    'orders\n',
    '\norders',
    'orders_read',
    'örders',
    '*',
    ANY_ROLE,
    'x'.repeat(129),
    '__proto__',
  ])('%j is none', (text) => expect(isRole(text)).toBe(false));
});

describe('holding a role', () => {
  it.each([
    ['orders', 'orders', true],
    ['orders', 'orders:read', true],
    ['orders', 'orders:read:all', true],
    ['orders:read', 'orders', false],
    ['orders', 'orders-archive', false],
    ['orders', 'ordersx:read', false],
    ['orders:read', 'orders:readers', false],
    ['read', 'orders:read', false],
    ['any', 'orders', false],
  ])('%s for %s: %s', (held, needed, expected) => expect(grants(held, needed)).toBe(expected));

  it('means holding itself, and what it holds holds: an order', () => {
    fc.assert(
      fc.property(role, role, role, (a, b, c) => {
        expect(grants(a, a)).toBe(true);
        if (grants(a, b) && grants(b, c)) expect(grants(a, c)).toBe(true);
        if (grants(a, b) && grants(b, a)) expect(a).toBe(b);
        expect(grants(a, `${a}:more`)).toBe(true);
        expect(grants(a, `${a}more`)).toBe(false);
      }),
    );
  });
});

describe('the roles that two grants share', () => {
  const holds = (held: readonly string[], needed: string) => held.some((each) => grants(each, needed));

  it('grant exactly what both grant', () => {
    fc.assert(
      fc.property(roles, roles, role, (one, other, needed) => {
        expect(holds(intersectRoles(one, other), needed)).toBe(holds(one, needed) && holds(other, needed));
      }),
      { numRuns: 2000 },
    );
  });

  it('are the same in either order, and grouped either way grant the same', () => {
    fc.assert(
      fc.property(roles, roles, roles, role, (a, b, c, needed) => {
        expect(intersectRoles(a, b)).toEqual(intersectRoles(b, a));
        const left = intersectRoles(intersectRoles(a, b), c);
        const right = intersectRoles(a, intersectRoles(b, c));
        expect(holds(left, needed)).toBe(holds(right, needed));
      }),
    );
  });

  it('are sorted, without repeats, and none where one side has none', () => {
    expect(intersectRoles(['orders', 'b', 'a'], ['a', 'b', 'orders:read', 'b'])).toEqual([
      'a',
      'b',
      'orders:read',
    ]);
    expect(intersectRoles([], ['a'])).toEqual([]);
    expect(intersectRoles(['orders'], ['orders-archive'])).toEqual([]);
  });

  it('leave their arguments as they were', () => {
    const [one, other] = [Object.freeze(['b', 'a']), Object.freeze(['a', 'b'])];
    intersectRoles(one, other);
    expect(one).toEqual(['b', 'a']);
  });
});
