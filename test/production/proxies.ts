/**
 * nginx and Caddy as scripts/ has them, with nothing changed but names, ports and certificates.
 * @module
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { root } from '../e2e/built.ts';
import { Child, temporaryFolder } from '../e2e/processes.ts';

export interface RunningProxy {
  /** Where it listens, over TLS. */
  readonly url: URL;
  /** The certificate that it shows, for api.example.com. */
  readonly ca: Buffer;
  readonly child: Child;
}

/** Starts a proxy before a gateway on this port. */
export type StartProxy = (gateway: number) => Promise<RunningProxy>;

export function isInstalled(command: string): boolean {
  return spawnSync(command, ['-h'], { stdio: 'ignore' }).error === undefined;
}

export const snippet = (name: string) => readFileSync(join(root, 'scripts', name), 'utf8');

/** The text with each part replaced, which must stand there. */
export function withParts(text: string, parts: Readonly<Record<string, string>>): string {
  return Object.entries(parts).reduce((all, [part, other]) => {
    if (!all.includes(part)) throw new Error(`The file doesn't hold ${part}.`);
    return all.replaceAll(part, other);
  }, text);
}

export const startNginx: StartProxy = async (gateway) => {
  const folder = temporaryFolder();
  const { key, cert } = certificate(folder);
  const port = await freePort();
  const site = withParts(snippet('nginx.conf'), {
    '127.0.0.1:8080': `127.0.0.1:${gateway}`,
    'listen 443 ssl': `listen 127.0.0.1:${port} ssl`,
    'listen [::]:443 ssl;': '',
    '/etc/ssl/api.example.com.pem': cert,
    '/etc/ssl/private/api.example.com.key': key,
  });
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${join(folder, name)};`)
    .join('\n');
  const file = join(folder, 'nginx.conf');
  // Started by root, it would serve as somebody who may not enter the temporary folder.
  const user = process.getuid?.() === 0 ? 'user root root;' : '';
  writeFileSync(
    file,
    `${user} daemon off; pid ${folder}/pid; worker_processes 1; error_log stderr notice;
events {} http { access_log off; ${places}\n${site}}`,
  );
  const child = new Child('nginx', ['-p', folder, '-e', 'stderr', '-c', file], { group: true });
  await child.written(/start worker process /, 'stderr');
  return { url: new URL(`https://127.0.0.1:${port}`), ca: readFileSync(cert), child };
};

export const startCaddy: StartProxy = async (gateway) => {
  const folder = temporaryFolder();
  const { key, cert } = certificate(folder);
  const port = await freePort();
  const site = withParts(snippet('Caddyfile'), {
    '127.0.0.1:8080': `127.0.0.1:${gateway}`,
    '\napi.example.com {': `\nhttps://api.example.com:${port} {\n\ttls ${cert} ${key}\n\tbind 127.0.0.1`,
  });
  const file = join(folder, 'Caddyfile');
  writeFileSync(file, `{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n${site}`);
  mkdirSync(join(folder, 'home'));
  const variables = Object.fromEntries(
    ['HOME', 'XDG_DATA_HOME', 'XDG_CONFIG_HOME'].map((name) => [name, join(folder, 'home')]),
  );
  const child = new Child('caddy', ['run', '--adapter', 'caddyfile', '--config', file], { variables });
  await child.written(/serving initial configuration/, 'stderr');
  return { url: new URL(`https://127.0.0.1:${port}`), ca: readFileSync(cert), child };
};

/** Made afresh, since no private key is ever committed. */
function certificate(folder: string): { key: string; cert: string } {
  const key = join(folder, 'key.pem');
  const cert = join(folder, 'cert.pem');
  const names = ['-subj', '/CN=api.example.com', '-addext', 'subjectAltName=DNS:api.example.com'];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
  execFileSync('openssl', ['req', '-x509', ...kind, '-keyout', key, '-out', cert, ...names], {
    stdio: 'pipe',
  });
  return { key, cert };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
