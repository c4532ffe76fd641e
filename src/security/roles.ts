/**
 * Roles and what they grant: `orders` grants `orders:read`, never the reverse.
 * @module
 */
const ROLE = /^[a-z0-9-]+(:[a-z0-9-]+)*$/;
const MOST_ROLE = 128;

/** Held by those who run the gateway. Its parts, such as `operator:keys`, are there whatever the configuration lists. */
export const OPERATOR = 'operator';

/** A route that demands this is open to whoever is authenticated. It is not a role that anybody can hold. */
export const ANY_ROLE = 'any';

export function isRole(text: string): boolean {
  return text.length <= MOST_ROLE && ROLE.test(text) && text !== ANY_ROLE;
}

/** Whether holding one role means holding the other. */
export function grants(held: string, needed: string): boolean {
  return held === needed || (needed.startsWith(held) && needed[held.length] === ':');
}

/** The roles that both sets grant: of two that nest, the narrower. Sorted, without repeats. */
export function intersectRoles(one: readonly string[], other: readonly string[]): string[] {
  const both = new Set<string>();
  for (const a of one) {
    for (const b of other) {
      if (grants(a, b)) both.add(b);
      else if (grants(b, a)) both.add(a);
    }
  }
  return [...both].sort();
}
