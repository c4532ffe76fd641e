/** A context is frozen, and only ever narrowed. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CountersignError } from '../../src/errors.ts';
import { type Authorized, authorize } from '../../src/security/authorize.ts';
import { grants } from '../../src/security/roles.ts';
import * as contexts from '../../src/security/security-context.ts';

const { narrow, readNarrow, securityContext } = contexts;
const refused = expect.objectContaining({ code: 'role-missing' });

function contextWith(...roles: string[]): contexts.SecurityContext {
  return securityContext({ principal: 'consumer:demo', consumer: 'demo', keyid: 'demo.1', roles });
}

describe('a security context', () => {
  it('is frozen, its roles too, and no copy of what was passed in', () => {
    const given = { principal: 'consumer:demo', roles: ['orders'] };
    const context = securityContext(given);
    given.roles.push('admin');
    given.principal = 'consumer:root';
    expect(context).toEqual({ principal: 'consumer:demo', roles: ['orders'] });
    expect(Object.isFrozen(context)).toBe(true);
    expect(() => (context.roles as string[]).push('admin')).toThrow(TypeError);
    expect(() => Object.assign(context, { principal: 'consumer:root' })).toThrow(TypeError);
    expect(() => Object.assign(context, { roles: ['admin'] })).toThrow(TypeError);
  });

  it('has no way to widen it', () => {
    expect(Object.keys(contexts).sort()).toEqual(['narrow', 'readNarrow', 'securityContext']);
  });
});

describe('narrowing', () => {
  it('keeps the caller and nothing but the named roles, frozen', () => {
    const narrowed = narrow(contextWith('orders', 'users'), ['orders:read']);
    expect(narrowed).toEqual(contextWith('orders:read'));
    expect(Object.isFrozen(narrowed) && Object.isFrozen(narrowed.roles)).toBe(true);
  });

  it('to nothing leaves no role', () => {
    expect(narrow(contextWith('orders'), []).roles).toEqual([]);
  });

  it('leaves the wider context as it was', () => {
    const wide = contextWith('orders');
    narrow(wide, ['orders:read']);
    expect(wide.roles).toEqual(['orders']);
  });

  it.each([
    ['a role that it lacks', ['users']],
    ['a wider one', ['orders']],
    ['one that only begins alike', ['orders:reader']],
    ['one good and one bad', ['orders:read', 'users']],
    ['"any", which nobody holds', ['any']],
    ['an empty name', ['']],
    ['a name that is none', ['Orders:Read']],
    ['an injected line', ['orders:read\nadmin']],
  ])('to %s is refused', (_what, roles) => {
    expect(() => narrow(contextWith('orders:read'), roles)).toThrow(refused);
  });

  it('never grants what the wider context did not, however often it is done', () => {
    const role = fc
      .array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 3 })
      .map((words) => words.join(':'));
    fc.assert(
      fc.property(fc.array(role), fc.array(fc.array(role, { maxLength: 3 })), role, (held, chain, needed) => {
        let context = contextWith(...held);
        for (const roles of chain) {
          try {
            context = narrow(context, roles);
          } catch (error) {
            expect(error).toBeInstanceOf(CountersignError);
          }
          const now = context.roles.some((each) => grants(each, needed));
          if (now) expect(held.some((each) => grants(each, needed))).toBe(true);
        }
      }),
    );
  });

  it.each([
    ['orders', ['orders']],
    ['orders:read, users', ['orders:read', 'users']],
    ['a,b ,\tc', ['a', 'b', 'c']],
    ['', ['']],
    ['a,', ['a', '']],
  ])('reads %j as %j, and leaves what is no role to be refused', (value, roles) => {
    expect(readNarrow(value)).toEqual(roles);
  });
});

describe('demanding a role', () => {
  it('returns the very context, as proof', () => {
    const context = contextWith('orders');
    const proof: Authorized<'orders:read'> = authorize(context, 'orders:read');
    expect(proof).toBe(context);
  });

  it('can not be got round in the types', () => {
    // @ts-expect-error A context that nobody authorized is no proof.
    const forged: Authorized<'orders'> = contextWith('orders');
    // @ts-expect-error Proof of one role is no proof of another.
    const other: Authorized<'users'> = authorize(contextWith('orders'), 'orders');
    expect([forged, other]).toHaveLength(2);
  });

  it.each([
    ['orders', [], 'nothing'],
    ['orders', ['orders:read'], 'a narrower one'],
    ['orders', ['orders-archive'], 'one that begins alike'],
    ['orders', ['any'], '"any"'],
  ])('refuses %s to who holds %j: %s', (needed, held) => {
    expect(() => authorize(contextWith(...held), needed)).toThrow(refused);
  });

  it('"any" asks only for an authenticated caller', () => {
    expect(authorize(contextWith(), 'any')).toEqual(contextWith());
  });
});
