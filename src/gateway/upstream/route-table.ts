/**
 * Which upstream a request target belongs to: the longest configured prefix of its raw path.
 * @module
 */
import { isReservedPath, type UpstreamRoute } from '../../config/config.ts';
import { CountersignError } from '../../errors.ts';
import { pathOf } from '../../signatures/components.ts';

export class RouteTable {
  private readonly byPath: ReadonlyMap<string, UpstreamRoute>;
  /** Length of the longest path, beyond which nothing can match: a long target costs no more than a short one. */
  private readonly longest: number;

  constructor(routes: readonly UpstreamRoute[]) {
    this.byPath = new Map(routes.map((route) => [route.path, route]));
    this.longest = Math.max(0, ...routes.map(({ path }) => path.length));
  }

  /**
   * @param target a raw request target that `checkTarget` has passed.
   * @returns undefined where no route covers it, or the path is the gateway's own; throws `target-ambiguous` where it leads to one route as it stands
   * and to another as many upstreams would read it.
   */
  find(target: string): UpstreamRoute | undefined {
    const path = pathOf(target);
    const route = this.longestPrefix(path);
    if (
      route &&
      (path.includes(';') || path.includes('%')) &&
      this.longestPrefix(asReadBySome(path)) !== route
    ) {
      throw new CountersignError(
        'target-ambiguous',
        'The request target could be read in two ways, which lead to different routes: leave out ";" and what follows it, and send characters that need no encoding as they are.',
      );
    }
    return route;
  }

  private longestPrefix(path: string): UpstreamRoute | undefined {
    let end = path.length <= this.longest ? path.length : path.lastIndexOf('/', this.longest);
    while (end > 0) {
      const route = this.byPath.get(path.slice(0, end));
      if (route) return route;
      end = path.lastIndexOf('/', end - 1);
    }
    return isReservedPath(path) ? undefined : this.byPath.get('/');
  }
}

/**
 * Servlet containers drop `;…` from each segment, and most frameworks decode before they route: `/orders;x/admin` and
 * `/orders/%61dmin` must not slip past the route of `/orders/admin`.
 */
function asReadBySome(path: string): string {
  return path
    .replace(/%([0-7][0-9A-Fa-f])/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    .replace(/;[^/]*/g, '');
}
