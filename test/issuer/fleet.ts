/**
 * Gateways around an issuer under test: each has a certificate, trusts what it was told to trust, follows the trust
 * bundle when it looks, and can call every other one.
 * @module
 */
import type { KeyObject } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Certificate, readCertificate } from '../../src/client/certificate/certificate.ts';
import { certificateRequest, newCertificateKey } from '../../src/client/certificate/certificate-request.ts';
import { rehearse } from '../../src/client/certificate/rehearsal.ts';
import { followTrustBundle } from '../../src/client/certificate/trust-bundle.ts';
import type { Requester, Scene } from './inbox-scene.ts';

export class Member {
  readonly folder: string;
  private readonly scene: Scene;
  private readonly requester: Requester;
  private readonly dns: string;
  private pending: { id: string; key: KeyObject } | undefined;
  private certificate: Certificate | undefined;

  private constructor(scene: Scene, requester: Requester, dns: string) {
    this.scene = scene;
    this.requester = requester;
    this.dns = dns;
    this.folder = join(scene.dir, '..', requester.name);
    mkdirSync(this.folder);
    writeFileSync(join(this.folder, 'trust.pem'), scene.authority.pem);
  }

  /** Enrolled, and pinned to the root of today. */
  static async join(scene: Scene, name: string, dns: string): Promise<Member> {
    return new Member(scene, await scene.requester(name), dns);
  }

  trust(): string {
    return readFileSync(join(this.folder, 'trust.pem'), 'utf8');
  }

  /** Looks at the bundle in the outbox. @returns the version that it took over. */
  follow(): number | undefined {
    const { folder, scene, requester } = this;
    return followTrustBundle({
      folder,
      requestKey: requester.key,
      requester: requester.name,
      inbox: scene.inbox,
      outbox: scene.outbox,
      now: scene.clock.seconds,
    });
  }

  ask(): void {
    const key = newCertificateKey();
    const csr = certificateRequest(key, { dns: [this.dns], ip: [], uri: [] });
    this.pending = { id: this.requester.ask({ csr }), key };
  }

  /** Takes the answer. */
  collect(): void {
    if (!this.pending) return;
    const chain = readFileSync(join(this.scene.outbox, `${this.pending.id}.pem`), 'utf8');
    const now = this.scene.clock.now();
    this.certificate = readCertificate(chain, {
      key: this.pending.key,
      trust: this.trust(),
      use: 'server',
      now,
    });
  }

  /** A TLS handshake in which `caller` judges this one's certificate by what it trusts. */
  async isCalledBy(caller: Member): Promise<void> {
    if (!this.certificate) throw new Error(`${this.dns} has no certificate`);
    const names = { dns: [this.dns], ip: [], uri: [] };
    await rehearse({ certificate: this.certificate, use: 'server', names, trust: caller.trust() });
  }
}
