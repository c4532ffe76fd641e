/**
 * Where a certificate lives: `trust.pem` (the roots, put there by an operator), `request.key` and `request.pub.pem` (the
 * Ed25519 key that requests are signed with), `current.key` and `current.pem`, `pending.key` and `pending.json` (what
 * is asked for), `sequence`. No private key ever leaves it.
 *
 * Two files can't be replaced in one step, so `pending.key` stays until `current.pem` is in its place, and becomes
 * `current.key` after: cut off anywhere, one of the two keys is that of `current.pem`, and `load` puts it in order.
 * Several processes may share the folder: a key that another has made is taken up, never overwritten.
 * @module
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { CountersignError } from '../../errors.ts';
import { type Certificate, parseCertificates } from './certificate.ts';
import { newCertificateKey } from './certificate-request.ts';
import {
  createFile,
  moveFile,
  readPlainFile,
  removeDrafts,
  removeFile,
  replaceFile,
} from './durable-file.ts';
import { keyPem } from './rehearsal.ts';

/** What is asked for: one key, and the requests that were made for it. */
export interface Pending {
  readonly key: KeyObject;
  readonly requests: readonly PendingRequest[];
}

export interface PendingRequest {
  readonly id: string;
  /** Epoch seconds. */
  readonly created: number;
  readonly expires: number;
  /** False until all of its files are written. */
  readonly dropped: boolean;
}

export class CertificateFolder {
  readonly path: string;
  /** Private, Ed25519. */
  readonly requestKey: KeyObject;

  /** Makes the folder and the request key where they are missing. */
  constructor(path: string) {
    this.path = path;
    mkdirSync(path, { recursive: true, mode: 0o700 });
    chmodSync(path, 0o700);
    removeDrafts(path);
    this.requestKey = this.key('request.key') ?? this.newRequestKey();
    if (!existsSync(this.requestKeyFile)) this.writePublicHalf();
  }

  /** The public half of the request key, in PEM: what the issuer's operator enrols. */
  get requestKeyFile(): string {
    return this.file('request.pub.pem');
  }

  get trustFile(): string {
    return this.file('trust.pem');
  }

  /** The roots in PEM, as they lie there now. `certificate-invalid` where there is none, or something else beside them. */
  trust(): string {
    const pem = readPlainFile(this.trustFile);
    const found = parseCertificates(pem ?? '');
    if (found.some(({ ca }) => !ca)) {
      throw new CountersignError(
        'certificate-invalid',
        `${this.trustFile} holds a certificate that is no root's: put nothing there but the issuer's root.pem.`,
      );
    }
    if (pem !== undefined && found.length > 0) return pem;
    throw new CountersignError(
      'certificate-invalid',
      `There is no root in ${this.trustFile}: put the issuer's root.pem there, and compare its fingerprint with the one that "countersign ca init" printed.`,
    );
  }

  /** The certificate in PEM with its key; undefined where there is none. Also puts in order what was cut off. */
  load(): { readonly chain: string; readonly key: KeyObject } | undefined {
    const chain = readPlainFile(this.file('current.pem'));
    const leaf = chain === undefined ? undefined : parseCertificates(chain)[0];
    if (chain === undefined || !leaf) return undefined;
    if (this.holds('pending.key', leaf)) this.endReplacement();
    const key = this.key('current.key');
    return key && { chain, key };
  }

  /** Puts a certificate that was issued for the pending key in the place of the one before, whose key is gone then. */
  replace({ leaf, root, key }: Certificate): void {
    // The root is for tools to show; peers get the leaf alone.
    replaceFile(this.file('current.pem'), `${leaf.toString()}${root.toString()}`, 0o644);
    if (this.holds('pending.key', leaf)) this.endReplacement();
    // Another process took it before, and may ask for the next key already.
    else if (!this.holds('current.key', leaf)) replaceFile(this.file('current.key'), keyPem({ key }));
  }

  private holds(name: string, { publicKey }: Certificate['leaf']): boolean {
    const key = this.key(name);
    return key !== undefined && publicKey.equals(createPublicKey(key));
  }

  private endReplacement(): void {
    try {
      moveFile(this.file('pending.key'), this.file('current.key'));
    } catch (error) {
      // Another process on this folder was quicker.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    removeFile(this.file('pending.json'));
  }

  /** What is asked for; undefined where nothing is. */
  pending(): Pending | undefined {
    const key = this.key('pending.key');
    if (!key) return undefined;
    try {
      const { requests } = JSON.parse(readPlainFile(this.file('pending.json')) ?? '{"requests":[]}');
      return { key, requests };
    } catch {
      return { key, requests: [] };
    }
  }

  /** The key of what is asked for, made and on the disk before anybody hears of it. */
  newPending(): Pending {
    removeFile(this.file('pending.json'));
    const key = newCertificateKey();
    const isOurs = createFile(this.file('pending.key'), keyPem({ key }));
    return (isOurs ? undefined : this.pending()) ?? { key, requests: [] };
  }

  savePending({ requests }: Pending): void {
    replaceFile(this.file('pending.json'), `${JSON.stringify({ requests }, null, 2)}\n`);
  }

  /**
   * The next number, on the disk before it is used. It is never below the clock's seconds, so that a folder out of a
   * backup doesn't repeat the numbers that were used since.
   * @param now epoch seconds.
   */
  nextSequence(now: number): number {
    const last = Number(readPlainFile(this.file('sequence')) ?? 0);
    const next = Math.max(Number.isSafeInteger(last) ? last + 1 : 0, now);
    replaceFile(this.file('sequence'), `${next}\n`);
    return next;
  }

  private newRequestKey(): KeyObject {
    const { privateKey } = generateKeyPairSync('ed25519');
    const isOurs = createFile(this.file('request.key'), keyPem({ key: privateKey }));
    return (isOurs ? undefined : this.key('request.key')) ?? privateKey;
  }

  private writePublicHalf(): void {
    const half = createPublicKey(this.requestKey).export({ type: 'spki', format: 'pem' });
    replaceFile(this.requestKeyFile, half.toString(), 0o644);
  }

  private key(name: string): KeyObject | undefined {
    const pem = readPlainFile(this.file(name));
    if (pem === undefined) return undefined;
    try {
      return createPrivateKey(pem);
    } catch (error) {
      throw new CountersignError('certificate-invalid', `${this.file(name)} holds no private key.`, {
        cause: error,
      });
    }
  }

  private file(name: string): string {
    return join(this.path, name);
  }
}
