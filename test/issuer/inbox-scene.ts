/**
 * An issuer with its inbox and outbox, and requesters that know how to ask. The root is made once a file of tests, since
 * its passphrase takes its time by design.
 * @module
 */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import {
  type CertificateNames,
  certificateRequest,
  newCertificateKey,
} from '../../src/client/certificate/certificate-request.ts';
import { type Authority, createAuthority, openAuthority } from '../../src/issuer/authority.ts';
import type { Reason } from '../../src/issuer/inbox.ts';
import type { Outcome, PassReport } from '../../src/issuer/outcome.ts';
import { runPass } from '../../src/issuer/pass.ts';
import { enrol } from '../../src/issuer/requesters.ts';
import { ManualClock } from '../storage/manual-clock.ts';

export const PASSPHRASE = 'a passphrase for tests alone';

export const NOON = Math.floor(Date.UTC(2026, 10, 22, 12) / 1000);

const PROFILE = `
requesters:
  gateway:
    use: server
    dns: [api.example.org, spare.example.org]
  second:
    use: server
    dns: [second.example.org]
  twin:
    use: server
    dns: [api.example.org]
  shop:
    use: client
    uri: [spiffe://example.org/shop]
    lifetime: 1h
`;

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-issuer-'));
  folders.push(folder);
  return folder;
}

const patterns = new Map<string, Promise<Authority>>();

/** A root that permits example.org, in a folder of its own that stays as it is. */
function pattern(name: string): Promise<Authority> {
  const found = patterns.get(name);
  if (found) return found;
  const folder = temporaryFolder();
  const made = createAuthority({
    dir: join(folder, 'issuer'),
    name,
    constraints: { dns: ['example.org'], ip: [], uri: ['example.org'] },
    passphrase: PASSPHRASE,
    clock: new ManualClock(NOON),
  });
  patterns.set(name, made);
  return made;
}

export interface RequestChange {
  readonly id?: string;
  readonly names?: Partial<CertificateNames>;
  /** In place of the CSR for those names. */
  readonly csr?: string;
  /** Put over the members of the document. */
  readonly document?: Readonly<Record<string, unknown>>;
  /** In place of the document's bytes. */
  readonly json?: string;
  /** In place of the signature. */
  readonly sig?: string;
  /** Who signs in place of the requester. */
  readonly signer?: KeyObject;
}

export class Requester {
  readonly name: string;
  readonly key: KeyObject;
  readonly publicKey: string;
  /** Of the last request. */
  sequence = 0;
  private readonly scene: Scene;

  constructor(scene: Scene, name: string) {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    this.scene = scene;
    this.name = name;
    this.key = privateKey;
    this.publicKey = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  }

  enrol(options: { replace?: boolean; acceptClock?: boolean } = {}) {
    const { dir: folder, clock } = this.scene;
    const { name, publicKey } = this;
    return enrol({ folder, name, publicKey, clock, replace: false, ...options });
  }

  /** Drops a request with a new key. @returns its id. */
  ask(change: RequestChange = {}): string {
    this.sequence++;
    const isShop = this.name === 'shop';
    const own = isShop ? { uri: ['spiffe://example.org/shop'] } : { dns: ['api.example.org'] };
    const csr =
      change.csr ??
      certificateRequest(newCertificateKey(), { dns: [], ip: [], uri: [], ...(change.names ?? own) });
    const created = this.scene.clock.seconds;
    const document = {
      requester: this.name,
      use: isShop ? 'client' : 'server',
      csrSha256: createHash('sha256').update(csr).digest('hex'),
      issuer: this.scene.authority.fingerprint,
      created,
      expires: created + 24 * 3600,
      sequence: this.sequence,
      ...change.document,
    };
    const json = change.json ?? JSON.stringify(document);
    const sig = change.sig ?? sign(null, Buffer.from(json), change.signer ?? this.key).toString('base64');
    const id = change.id ?? `${this.name}-${this.sequence}`;
    for (const [part, content] of Object.entries({ csr, json, sig })) {
      writeFileSync(join(this.scene.inbox, `${id}.${part}`), content);
    }
    return id;
  }
}

export class Scene {
  authority: Authority;
  readonly clock = new ManualClock(NOON);
  readonly dir: string;
  readonly inbox: string;
  readonly outbox: string;

  private constructor(authority: Authority, folder: string) {
    this.dir = join(folder, 'issuer');
    this.inbox = join(folder, 'inbox');
    this.outbox = join(folder, 'outbox');
    this.authority = { ...authority, dir: this.dir };
  }

  /** A new issuer, at noon, whose folders the end of the file removes. */
  static async make(name = 'Test root'): Promise<Scene> {
    const authority = await pattern(name);
    const folder = temporaryFolder();
    const scene = new Scene(authority, folder);
    cpSync(authority.dir, scene.dir, { recursive: true, mode: 0 });
    writeFileSync(join(scene.dir, 'profile.yaml'), PROFILE);
    mkdirSync(scene.inbox);
    mkdirSync(scene.outbox);
    return scene;
  }

  /** Opens the root that lies there now, as a new process would. */
  reopen(): this {
    this.authority = openAuthority(this.dir, PASSPHRASE);
    return this;
  }

  async requester(name: string): Promise<Requester> {
    const requester = new Requester(this, name);
    await requester.enrol();
    return requester;
  }

  pass(options: { acceptClock?: boolean; onOutcome?: (outcome: Outcome) => void } = {}): Promise<PassReport> {
    const { authority, inbox, outbox, clock } = this;
    return runPass({ authority, inbox, outbox, clock, ...options });
  }

  /** What lies in the inbox, in its `rejected/` and, beside the trust bundle, in the outbox; hidden files too. */
  files(): { inbox: string[]; rejected: string[]; outbox: string[] } {
    const list = (folder: string) => readdirSync(folder).sort();
    const inbox = list(this.inbox).filter((name) => name !== 'rejected');
    const hasRejected = readdirSync(this.inbox).includes('rejected');
    return {
      inbox,
      rejected: hasRejected ? list(join(this.inbox, 'rejected')) : [],
      outbox: list(this.outbox).filter((name) => name !== 'trust-bundle.json'),
    };
  }

  reason(id: string): Reason & { id: string; earlier?: Reason[] } {
    return JSON.parse(readFileSync(join(this.inbox, 'rejected', `${id}.reason.json`), 'utf8'));
  }

  /** The rows of the ledger, without one that was cut off. */
  rows(): Record<string, unknown>[] {
    return readFileSync(join(this.dir, 'ledger.jsonl'), 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  }
}

/** The parts that a request's files have. */
export function partsOf(id: string): string[] {
  return ['csr', 'json', 'sig'].map((part) => `${id}.${part}`);
}
