/** Certificates made with the openssl program: a root, and leaves of it, in a folder that is removed at the end. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

export interface Identity {
  readonly key: string;
  readonly chain: string;
}

const P256 = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
const LEAF = 'keyUsage=critical,digitalSignature';
const ISSUER = 'keyUsage=critical,digitalSignature,keyCertSign\nbasicConstraints=critical,CA:TRUE';
const RSA2048 = ['-newkey', 'rsa:2048'];

export class OpensslRoot {
  readonly folder = mkdtempSync(join(tmpdir(), 'countersign-root-'));
  private made = 0;

  /** @param constraints such as `permitted;DNS:example.com`. */
  constructor(constraints?: string) {
    const extension = constraints === undefined ? [] : ['-addext', `nameConstraints=critical,${constraints}`];
    const subject = ['-days', '1', '-subj', '/CN=test root'];
    this.run('req', '-x509', ...P256, '-nodes', ...subject, ...extension, ...this.out('root'));
  }

  /** In PEM. */
  get trust(): string {
    return this.read('root.pem');
  }

  /** @param names as openssl writes them: `IP:127.0.0.1,DNS:localhost`. */
  leaf(names: string, { key = 'p256', usage = 'serverAuth', days = 1, ca = false } = {}): Identity {
    const name = `leaf-${++this.made}`;
    const csr = join(this.folder, `${name}.csr`);
    const keyKind = key === 'rsa' ? RSA2048 : P256;
    this.run('req', ...keyKind, '-nodes', '-subj', '/', '-keyout', this.path(`${name}.key`), '-out', csr);
    const chain = this.sign(readFileSync(csr, 'utf8'), names, { usage, days, ca });
    return { key: this.read(`${name}.key`), chain };
  }

  /** Signs a request as it stands, its names aside. @returns the leaf in PEM. */
  sign(csr: string, names: string, { usage = 'serverAuth', days = 1, ca = false } = {}): string {
    const name = `signed-${++this.made}`;
    writeFileSync(this.path(`${name}.csr`), csr);
    writeFileSync(
      this.path(`${name}.ext`),
      `subjectAltName=critical,${names}\nextendedKeyUsage=${usage}\n${ca ? ISSUER : LEAF}\n`,
    );
    const by = ['-CA', this.path('root.pem'), '-CAkey', this.path('root.key')];
    const files = ['-in', this.path(`${name}.csr`), '-out', this.path(`${name}.pem`)];
    this.run('x509', '-req', ...files, ...by, '-days', String(days), '-extfile', this.path(`${name}.ext`));
    return this.read(`${name}.pem`);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  private out(name: string): string[] {
    return ['-keyout', this.path(`${name}.key`), '-out', this.path(`${name}.pem`)];
  }

  private path(name: string): string {
    return join(this.folder, name);
  }

  private read(name: string): string {
    return readFileSync(this.path(name), 'utf8');
  }

  private run(...args: string[]): void {
    execFileSync('openssl', args, { stdio: 'pipe' });
  }
}

/** A root for the file's tests, removed after them. */
export function opensslRoot(constraints?: string): OpensslRoot {
  const root = new OpensslRoot(constraints);
  afterAll(() => root.remove());
  return root;
}
