/**
 * An issuer whose leaves live for as long as a test says, to the second: it answers what lies in an inbox, and checks
 * what a real one checks of the files.
 * @module
 */
import 'reflect-metadata';
import { createHash, createPublicKey, verify, webcrypto } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { afterAll } from 'vitest';

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const USAGES = { server: ['1.3.6.1.5.5.7.3.1'], client: ['1.3.6.1.5.5.7.3.2'] };
const USAGES_OF = { ...USAGES, both: [...USAGES.server, ...USAGES.client] };

export interface Given {
  readonly names?: x509.JsonGeneralNames;
  /** Milliseconds since the epoch. Default: now. */
  readonly from?: number;
  /** Seconds. */
  readonly life?: number;
  readonly use?: 'server' | 'client' | 'both';
  readonly ca?: boolean;
  /** The identifier of an extension that is critical, and that nobody knows. */
  readonly strange?: string;
}

/** What `ID.json` says. */
export interface Asked {
  readonly id: string;
  readonly csr: x509.Pkcs10CertificateRequest;
  readonly document: Readonly<Record<string, unknown>>;
}

export class TestIssuer {
  readonly folder = mkdtempSync(join(tmpdir(), 'countersign-issuer-'));
  readonly inbox = join(this.folder, 'inbox');
  readonly outbox = join(this.folder, 'outbox');
  issued = 0;
  private readonly root: x509.X509Certificate;
  private readonly keys: webcrypto.CryptoKeyPair;

  private constructor(root: x509.X509Certificate, keys: webcrypto.CryptoKeyPair) {
    this.root = root;
    this.keys = keys;
    mkdirSync(this.inbox);
    mkdirSync(this.outbox);
  }

  static async make(): Promise<TestIssuer> {
    x509.cryptoProvider.set(webcrypto as typeof globalThis.crypto);
    const keys = (await webcrypto.subtle.generateKey(ECDSA, true, [
      'sign',
      'verify',
    ])) as webcrypto.CryptoKeyPair;
    const root = await x509.X509CertificateGenerator.createSelfSigned({
      name: 'CN=test root',
      keys,
      notBefore: new Date(Date.now() - 24 * 3600_000),
      notAfter: new Date(Date.now() + 24 * 3600_000),
      signingAlgorithm: ECDSA,
      extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
    });
    return new TestIssuer(root, keys);
  }

  /** In PEM. */
  get trust(): string {
    return `${this.root.toString('pem')}\n`;
  }

  /** A folder for a certificate, with this issuer's root in it. */
  newFolder(): string {
    const folder = mkdtempSync(join(this.folder, 'certificate-'));
    writeFileSync(join(folder, 'trust.pem'), this.trust);
    return folder;
  }

  /** What waits, its signature verified. @param requestKey the requester's public half, in PEM. */
  arrivals(requestKey: string): Asked[] {
    return readdirSync(this.inbox)
      .filter((file) => file.endsWith('.sig'))
      .map((file) => {
        const id = file.slice(0, -'.sig'.length);
        const [csr, json, sig] = ['csr', 'json', 'sig'].map((part) =>
          readFileSync(join(this.inbox, `${id}.${part}`)),
        );
        const signature = Buffer.from(String(sig), 'base64');
        if (!json || !csr || !verify(null, json, createPublicKey(requestKey), signature)) {
          throw new Error(`${id}.sig doesn't hold`);
        }
        const document = JSON.parse(String(json));
        if (document.csrSha256 !== createHash('sha256').update(csr).digest('hex'))
          throw new Error('other CSR');
        return { id, csr: new x509.Pkcs10CertificateRequest(String(csr)), document };
      })
      .sort((a, b) => Number(a.document.sequence) - Number(b.document.sequence));
  }

  /** Takes what waits out of the inbox. */
  clear(id: string): void {
    for (const part of ['csr', 'json', 'sig']) rmSync(join(this.inbox, `${id}.${part}`), { force: true });
  }

  /** One pass: answers all that waits. @returns the ids. */
  async pass(requestKey: string, given: Given = {}): Promise<string[]> {
    const ids: string[] = [];
    for (const { id, csr } of this.arrivals(requestKey)) {
      if (!(await csr.verify())) throw new Error(`${id}: no proof of possession`);
      this.put(id, await this.leaf(csr, given));
      this.clear(id);
      ids.push(id);
    }
    return ids;
  }

  /** One pass, once the requester has made its key. @param file the public half of its request key. */
  async passOf(file: string, given: Given = {}): Promise<string[]> {
    return existsSync(file) ? this.pass(readFileSync(file, 'utf8'), given) : [];
  }

  /** Takes every chain out of the outbox. */
  empty(): void {
    for (const file of readdirSync(this.outbox)) rmSync(join(this.outbox, file), { recursive: true });
  }

  /** Puts a chain into the outbox, whole at once. */
  put(id: string, chain: string): void {
    writeFileSync(join(this.outbox, `.${id}`), chain);
    renameSync(join(this.outbox, `.${id}`), join(this.outbox, `${id}.pem`));
  }

  /** @returns the leaf and the root in PEM. The names are those that were asked for, unless told. */
  async leaf(request: x509.Pkcs10CertificateRequest | string, given: Given = {}): Promise<string> {
    const csr = typeof request === 'string' ? new x509.Pkcs10CertificateRequest(request) : request;
    const { from = Date.now(), life = 12 * 3600, use = 'server', ca = false, strange } = given;
    const asked = csr.getExtension('2.5.29.17');
    const isNames = asked instanceof x509.SubjectAlternativeNameExtension;
    const names = given.names ?? (isNames ? asked.names.toJSON() : []);
    const notBefore = Math.floor(from / 1000) * 1000;
    const leaf = await x509.X509CertificateGenerator.create({
      subject: '',
      issuer: this.root.subject,
      notBefore: new Date(notBefore),
      notAfter: new Date(notBefore + life * 1000),
      signingKey: this.keys.privateKey,
      publicKey: csr.publicKey,
      signingAlgorithm: ECDSA,
      extensions: [
        new x509.BasicConstraintsExtension(ca, undefined, true),
        new x509.ExtendedKeyUsageExtension(USAGES_OF[use]),
        new x509.SubjectAlternativeNameExtension(names, true),
        ...(strange === undefined ? [] : [new x509.Extension(strange, true, Buffer.of(5, 0))]),
      ],
    });
    this.issued++;
    return `${leaf.toString('pem')}\n${this.trust}`;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** An issuer for the file's tests, removed after them. */
export async function testIssuer(): Promise<TestIssuer> {
  const issuer = await TestIssuer.make();
  afterAll(() => issuer.remove());
  return issuer;
}
