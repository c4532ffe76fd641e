/**
 * The settings in force. What a reload may change is asked for here at each call, and kept by nobody.
 * @module
 */
import type { Logger } from 'pino';
import { type Config, type Origin, originText, publicOrigins } from '../config/config.ts';
import { follow, type Reload } from '../config/reload.ts';
import { PUBLIC_DEMO_QUOTA } from '../consumers/public-demo.ts';
import type { Routes } from '../gateway/routes/routes.ts';
import { ConsumerQuotas } from '../limits/consumer-quotas.ts';

export type RoutesOf = (config: Config) => Routes;

export class Settings {
  config: Config;
  quotas: ConsumerQuotas;
  origins: readonly Origin[];
  private readonly logger: Logger;
  private port = 0;
  private routesOf: RoutesOf | undefined;
  private table: Routes | undefined;

  constructor(config: Config, logger: Logger) {
    this.config = config;
    this.logger = logger;
    this.quotas = quotasOf(config);
    // Mail of an earlier run may go out before this one listens.
    this.origins = config.port === 0 && config.origins.length === 0 ? [] : publicOrigins(config, config.port);
  }

  /** The first public origin. */
  origin(): string {
    return originText(this.origins[0] as Origin);
  }

  get routes(): Routes {
    return this.table as Routes;
  }

  /** Makes the routes, now and at each reload. Throws as `routesOf` does. */
  routeBy(routesOf: RoutesOf): void {
    this.table = routesOf(this.config);
    this.routesOf = routesOf;
  }

  listensOn(port: number): void {
    this.port = port;
    this.origins = publicOrigins(this.config, port);
  }

  /** What can't be made leaves everything as it was. */
  reload(next: Config): Reload {
    const { logger } = this;
    const done = follow(this.config, next);
    const { config, changed, restart } = done;
    // All are made before the first is put in place.
    const [routes, quotas] = [(this.routesOf as RoutesOf)(config), quotasOf(config)];
    this.config = config;
    this.table = routes;
    this.quotas = quotas;
    this.origins = publicOrigins(config, this.port);
    if (changed.includes('logLevel')) logger.level = config.logLevel;
    logger.info({ changed, routes: config.routes.length }, 'reloaded');
    if (restart.length > 0) logger.warn({ settings: restart }, 'changed, and in force after a restart alone');
    return done;
  }
}

function quotasOf(config: Config): ConsumerQuotas {
  return new ConsumerQuotas([PUBLIC_DEMO_QUOTA, ...config.quotas]);
}
