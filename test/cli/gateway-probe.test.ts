/** Whether a gateway answers, whatever it speaks and whatever its certificate names. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { probeGateway } from '../../src/cli/gateway-probe.ts';
import { loadConfig } from '../../src/config/config.ts';
import { Listener } from '../../src/gateway/listener.ts';
import type { TlsServing } from '../../src/gateway/tls/server-context.ts';
import { opensslRoot } from '../gateway/tls/openssl-certificates.ts';

const root = opensslRoot();
let data: string;
let listener: Listener | undefined;

beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'countersign-probe-'));
});
afterEach(async () => {
  await listener?.close();
  rmSync(data, { recursive: true });
});

async function start(tls?: TlsServing): Promise<number> {
  listener = new Listener((_req, res) => res.end(), undefined, tls);
  return listener.listen({ host: '127.0.0.1', port: 0 });
}

function trust(): void {
  mkdirSync(join(data, 'tls'));
  writeFileSync(join(data, 'tls', 'trust.pem'), root.trust);
}

function config(port: number, names?: readonly string[]) {
  const file = join(data, 'gateway.yaml');
  writeFileSync(file, JSON.stringify(names ? { tls: { names } } : {}));
  return loadConfig({ COUNTERSIGN_DATA: data, COUNTERSIGN_PORT: String(port), COUNTERSIGN_CONFIG: file });
}

it.each([
  ['DNS:api.example.com', ['api.example.com']],
  ['IP:127.0.0.1', ['127.0.0.1']],
  ['IP:10.0.0.7', ['10.0.0.7']],
])('a certificate for %s alone is that of a ready gateway', async (subjectAltName, names) => {
  trust();
  const port = await start({ identity: root.leaf(subjectAltName) });
  expect(await probeGateway(config(port, names))).toMatchObject({ status: 200 });
});

it('one for another name is not', async () => {
  trust();
  const port = await start({ identity: root.leaf('IP:127.0.0.1') });
  const { fault } = (await probeGateway(config(port, ['10.0.0.7']))) ?? {};
  expect(fault).toContain('ERR_TLS_CERT_ALTNAME_INVALID');
});

it('TLS is found without a word of it in the configuration, and plain HTTP beside a root that lies there', async () => {
  trust();
  const secure = await start({ identity: root.leaf('DNS:localhost') });
  expect(await probeGateway(config(secure))).toMatchObject({ status: 200 });
  await listener?.close();
  expect(await probeGateway(config(await start()))).toMatchObject({ status: 200 });
});
