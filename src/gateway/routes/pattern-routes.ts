/**
 * Routes whose paths hold variable parts: those of the management API. @koa/router serves as the matcher alone, so
 * that what a call goes through stays the one array in `gateway/app.ts`.
 * @module
 */
import { Router } from '@koa/router';
import type { Route } from '../call.ts';

/** A route by its method and its path, with variable parts in braces: `/v1/consumers/{name}`. */
export interface PatternRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly route: Route;
}

export interface PatternMatch {
  /** Undefined where the path is known, and the method isn't. */
  readonly route: Route | undefined;
  /** What stands in the variable parts, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** The methods that the path answers. */
  readonly allowed: readonly string[];
}

export class PatternRoutes {
  private readonly router = new Router({ sensitive: true, strict: true });
  private readonly routes = new Map<string, Route>();

  constructor(table: readonly PatternRoute[]) {
    for (const { method, path, route } of table) {
      const name = `${method} ${path}`;
      if (this.routes.has(name)) throw new Error(`the route ${name} stands twice`);
      this.routes.set(name, route);
      this.router.register(path.replace(/\{(\w+)\}/g, ':$1'), [method], () => {}, { name });
    }
  }

  /** @returns undefined where no path fits. */
  match(method: string, path: string): PatternMatch | undefined {
    const { path: layers, pathAndMethod } = this.router.match(path, method);
    if (layers.length === 0) return undefined;
    const found = pathAndMethod[0];
    return {
      route: found && this.routes.get(found.name ?? ''),
      params: found ? found.params(path, found.captures(path)) : {},
      allowed: layers.flatMap((layer) => layer.methods),
    };
  }
}
