/**
 * `/v1/roles`: which roles there are, and what they open.
 * @module
 */
import { grants } from '../../../security/roles.ts';
import type { Route } from '../../call.ts';
import type { PatternRoute } from '../pattern-routes.ts';
import { readerRoute } from '../reader-route.ts';
import { pageOfAll } from './paging.ts';
import type { ManagementParts } from './parts.ts';
import { listOf, paging, roleItem } from './schemas.ts';

/** @param inCode every route that the gateway answers itself. */
export function listRoles({ roleSettings }: ManagementParts, inCode: () => readonly PatternRoute[]): Route {
  return readerRoute({
    name: 'roles.list',
    role: 'operator:roles:read',
    schema: { query: paging },
    description: {
      summary: 'List the roles that the configuration and the routes name',
      answers: { 200: { description: 'A page, in the order of names.', schema: listOf(roleItem) } },
    },
    read({ query }) {
      const { listed = [], grantable, routes } = roleSettings();
      const asked = [
        ...routes.map(({ path, role }) => ({ name: path, role })),
        ...inCode().map(({ method, path, route: { role } }) => ({ name: `${method} ${path}`, role })),
      ].filter(({ role }) => role !== 'any');
      const names = [...new Set([...listed, ...grantable, ...asked.map(({ role }) => role)])];
      const item = (name: string) => ({
        name,
        grantable: grantable.some((each) => grants(each, name)),
        routes: asked.filter(({ role }) => role === name).map((route) => route.name),
      });
      return { body: pageOfAll('roles', names, query, (name) => name, item) };
    },
  });
}
