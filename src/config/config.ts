/**
 * One frozen configuration from the environment and a YAML file. All faults are told at once; the environment wins
 * over the file. This folder alone reads `process.env`.
 * @module
 */
import { resolve } from 'node:path';
import { z } from 'zod';
import { ConfigFile } from './config-file.ts';
import { Environment, readOrigins, readPath, type Variables } from './environment.ts';
import { Faults } from './faults.ts';
import { completeMail, type MailSettings, mail, mailSettings } from './mail.ts';
import {
  isLoopbackHost,
  type Origin,
  originText,
  readHost,
  readNetwork,
  readOrigin,
  readPort,
} from './origins.ts';
import { type QuotaSetting, quotaFaults, quotaSettings, quotas } from './quotas.ts';
import { repeatedPaths, roleSettings, roles, routeSettings, routes, type UpstreamRoute } from './routes.ts';
import { flag, group, list, quantity, text } from './setting-types.ts';
import { checkTls, completeTls, type TlsSettings, tls, tlsSettings } from './tls.ts';

export type { MailSettings } from './mail.ts';
export { isLoopbackHost, type Origin, originText, publicOrigins } from './origins.ts';
export type { QuotaSetting } from './quotas.ts';
export { isReservedPath, type UpstreamRoute } from './routes.ts';
export type { ClientCertificates, TlsSettings } from './tls.ts';

export interface Config {
  /** An address or a name, without the brackets of IPv6. */
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Where details and metrics are served to others than loopback; none by default. */
  readonly adminPort: number | undefined;
  /** The data folder, absolute. */
  readonly data: string;
  /** As configured, and perhaps none: see `publicOrigins`. */
  readonly origins: readonly Origin[];
  /** Addresses, and networks in CIDR notation, whose forwarding headers are believed. */
  readonly trustedProxies: readonly string[];
  /** Serve others than this machine without TLS. */
  readonly insecure: boolean;
  /** Where TLS is served; undefined for plain http. */
  readonly tls: TlsSettings | undefined;
  /** Base64 of 32 bytes; undefined where the data folder keeps it. */
  readonly masterKey: string | undefined;
  /** Seconds, both. */
  readonly signatures: { readonly maxLife: number; readonly skew: number };
  readonly limits: {
    /** Bytes of a request's body. */
    readonly body: number;
    /** Bytes of an upstream's answer. */
    readonly upstreamBody: number;
    /** Calls without a good MAC, by address: a bucket, and what flows into it. */
    readonly failures: { readonly burst: number; readonly perSecond: number };
  };
  readonly idempotency: {
    /** Seconds for which the outcome of a call is kept under its Idempotency-Key. */
    readonly keyLife: number;
    /** Bytes of an upstream's answer that are kept with it; of a longer one only the status is. */
    readonly keptBody: number;
  };
  /** The roles that routes may name; undefined where any may be named. */
  readonly roles: readonly string[] | undefined;
  /** Those of them that a consumer may have for the asking, with all that they grant. */
  readonly grantableRoles: readonly string[];
  /** Those that whoever holds one of certain roles may have for the asking. */
  readonly grantableTo: readonly { readonly name: string; readonly to: readonly string[] }[];
  readonly routes: readonly UpstreamRoute[];
  /** How often a consumer may call, where it was given a quota. */
  readonly quotas: readonly QuotaSetting[];
  /** Whether anybody may fetch a key for looking around. */
  readonly publicDemo: boolean;
  readonly accounts: {
    readonly registration: Registration;
    /** The server that mail goes through; undefined where it is written into files. */
    readonly mail?: MailSettings | undefined;
  };
  readonly logLevel: LogLevel;
  /** The YAML file, absolute; undefined where there is none. */
  readonly file: string | undefined;
}

/** Whether anybody may make an account, or whoever was invited, or nobody but who runs the gateway. */
const REGISTRATIONS = ['open', 'invited', 'closed'] as const;
export type Registration = (typeof REGISTRATIONS)[number];

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LoadOptions {
  /** What relative paths start from. */
  readonly cwd?: string;
  /** Variables that win over the environment, such as a command's options. */
  readonly variables?: Variables;
  /** Serve TLS with an issuer of this machine's own, as `serve --tls` does. */
  readonly developmentTls?: boolean;
}

const MEBIBYTE = 1024 * 1024;
const bytes = quantity({ least: 1, most: 256 * MEBIBYTE, what: 'a number of bytes' });
const seconds = (least: number, most: number) => quantity({ least, most, what: 'a number of seconds' });
const port = quantity({ least: 0, most: 65_535, what: 'a port' });

const signatures = group('{ maxLife: 300 }', {
  maxLife: seconds(1, 3600).default(300),
  skew: seconds(0, 300).default(30),
});

const failures = group('{ burst: 200, perSecond: 20 }', {
  burst: quantity({ least: 1, most: 1_000_000, what: 'a number of calls' }).default(200),
  perSecond: quantity({ least: 0.001, most: 1_000_000, what: 'a number of calls', whole: false }).default(20),
});

const limits = group('{ body: 1048576 }', {
  body: bytes.default(MEBIBYTE),
  upstreamBody: bytes.default(8 * MEBIBYTE),
  failures: failures.default(failures.parse({})),
});

const DAY = 24 * 3600;
/** No call lasts longer than the least life, which is the longest timeout of a route. */
const idempotency = group('{ keyLife: 86400 }', {
  keyLife: seconds(3600, 30 * DAY).default(DAY),
  keptBody: quantity({ least: 0, most: 256 * MEBIBYTE, what: 'a number of bytes' }).default(MEBIBYTE),
});

const originList = list('origins, such as [https://api.example.com]', text('an origin', readOrigin));
const networkList = list('networks, such as [10.0.0.0/8]', text('a network', readNetwork));
const logLevel = z.enum(LOG_LEVELS, { error: `must be one of ${LOG_LEVELS.join(', ')}` });

const accounts = group('{ registration: invited }', {
  registration: z
    .enum(REGISTRATIONS, { error: `must be one of ${REGISTRATIONS.join(', ')}` })
    .default('closed'),
  mail: mail.optional(),
});

const SETTINGS: Readonly<Record<string, readonly string[]>> = {
  '': [
    'host',
    'port',
    'adminPort',
    'data',
    'origins',
    'trustedProxies',
    'insecure',
    'tls',
    'signatures',
    'limits',
    'idempotency',
    'roles',
    'routes',
    'quotas',
    'publicDemo',
    'accounts',
    'logLevel',
  ],
  tls: tlsSettings,
  signatures: Object.keys(signatures.shape),
  limits: Object.keys(limits.shape),
  'limits.failures': Object.keys(failures.shape),
  idempotency: Object.keys(idempotency.shape),
  accounts: Object.keys(accounts.shape),
  'accounts.mail': mailSettings,
  'roles.*': roleSettings,
  'routes.*': routeSettings,
  'quotas.*': quotaSettings,
};

const knownNames = (path: readonly PropertyKey[]) =>
  SETTINGS[path.map((key) => (typeof key === 'number' ? '*' : String(key))).join('.')];

/** Reads and checks everything; throws `config-invalid` with one fault a line, and `errors` among its members. */
export function loadConfig(
  environment: Variables = process.env,
  { cwd = process.cwd(), variables = {}, developmentTls = false }: LoadOptions = {},
): Config {
  const faults = new Faults();
  const env = new Environment({ ...environment, ...variables }, faults);
  const name = env.variable('COUNTERSIGN_CONFIG', readPath);
  const file = new ConfigFile(name, cwd, faults, knownNames);

  const host = [env.variable('COUNTERSIGN_HOST', readHost), file.setting('host', text('a host', readHost))];
  const ports = [env.variable('COUNTERSIGN_PORT', readPort), file.setting('port', port)];
  const adminPorts = [env.variable('COUNTERSIGN_ADMIN_PORT', readPort), file.setting('adminPort', port)];
  const data = [env.variable('COUNTERSIGN_DATA', readPath), file.setting('data', text('a folder', readPath))];
  const origins = [
    env.variable('COUNTERSIGN_PUBLIC_ORIGINS', readOrigins),
    file.setting('origins', originList),
  ];
  const folder = resolve(cwd, first(data) ?? '.countersign');
  const named = [...new Map((first(origins) ?? []).map((origin) => [originText(origin), origin])).values()];
  const roleList = file.setting('roles', roles);
  const listed = roleList?.map(({ name }) => name);
  const routeList = file.setting('routes', routes(listed)) ?? [];
  const people = file.setting('accounts', accounts) ?? accounts.parse({});
  const config: Config = {
    host: first(host) ?? '127.0.0.1',
    port: first(ports) ?? 8080,
    adminPort: first(adminPorts),
    data: folder,
    origins: named,
    trustedProxies: file.setting('trustedProxies', networkList) ?? [],
    insecure: file.setting('insecure', flag()) ?? false,
    tls: completeTls(file.setting('tls', tls), {
      cwd,
      data: folder,
      origins: named,
      routes: routeList,
      development: developmentTls,
    }),
    masterKey: env.masterKey(cwd),
    signatures: file.setting('signatures', signatures) ?? signatures.parse({}),
    limits: file.setting('limits', limits) ?? limits.parse({}),
    idempotency: file.setting('idempotency', idempotency) ?? idempotency.parse({}),
    roles: listed,
    grantableRoles: roleList?.filter(({ grantable }) => grantable).map(({ name }) => name) ?? [],
    grantableTo: (roleList ?? [])
      .filter(({ grantableTo }) => grantableTo.length > 0)
      .map(({ name, grantableTo: to }) => ({ name, to })),
    routes: routeList,
    quotas: file.setting('quotas', quotas) ?? [],
    publicDemo: file.setting('publicDemo', flag()) ?? false,
    accounts: {
      registration: people.registration,
      mail: completeMail(people.mail, env.smtpPassword(cwd), faults),
    },
    logLevel: file.setting('logLevel', logLevel) ?? 'info',
    file: name === undefined ? undefined : resolve(cwd, name),
  };
  checkTogether(config, env, file, faults);
  checkTls(config, Object.keys(file.content.tls ?? {}), faults, (path) => file.position(path));
  faults.raise();
  return frozen(config);
}

/** The credentials file that COUNTERSIGN_CREDENTIALS names; undefined where it is unset. */
export function credentialsFile(environment: Variables = process.env): string | undefined {
  return environment.COUNTERSIGN_CREDENTIALS || undefined;
}

/** The configuration as it may be shown: with its secrets told as set or not. */
export function maskedConfig(config: Config): Readonly<Record<string, unknown>> {
  const { masterKey, accounts } = config;
  const { mail } = accounts;
  return {
    ...config,
    masterKey: masterKey === undefined ? undefined : '(set)',
    accounts: { ...accounts, ...(mail?.password !== undefined && { mail: { ...mail, password: '(set)' } }) },
  };
}

/** What no setting shows by itself. */
function checkTogether(config: Config, env: Environment, file: ConfigFile, faults: Faults): void {
  for (const { index, earlier } of repeatedPaths(file.content.routes)) {
    const detail = `is the path of routes[${earlier}] too; a path stands once`;
    faults.add(`routes[${index}].path`, detail, file.position(['routes', index, 'path']));
  }
  for (const { index, name, detail } of quotaFaults(file.content.quotas)) {
    faults.add(`quotas[${index}].${name}`, detail, file.position(['quotas', index, name]));
  }
  /** The fault of a setting goes to the place that set it. */
  const fault = (name: string, variable: string, detail: string) =>
    env.has(variable) ? faults.add(variable, detail) : faults.add(name, detail, file.position([name]));

  if (config.adminPort !== undefined && config.adminPort !== 0 && config.adminPort === config.port) {
    fault('adminPort', 'COUNTERSIGN_ADMIN_PORT', 'must be another port than the one for calls');
  }
  if (isLoopbackHost(config.host) || !file.isRead) return;
  if (config.origins.length === 0 && !faults.concern('origins', 'COUNTERSIGN_PUBLIC_ORIGINS')) {
    fault(
      'host',
      'COUNTERSIGN_HOST',
      'reaches beyond this machine, so the public origins must be named: set origins, or COUNTERSIGN_PUBLIC_ORIGINS',
    );
  }
  const isShielded = config.tls !== undefined || config.insecure || config.trustedProxies.length > 0;
  if (!isShielded && !faults.concern('insecure', 'trustedProxies', 'tls')) {
    fault(
      'host',
      'COUNTERSIGN_HOST',
      'reaches beyond this machine without TLS: set up tls:, list the proxy that ends TLS under trustedProxies, or set insecure: true',
    );
  }
}

const first = <T>(values: readonly (T | undefined)[]) => values.find((value) => value !== undefined);

function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) frozen(inner);
  }
  return value;
}
