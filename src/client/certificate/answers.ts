/**
 * Takes what the issuer puts in the outbox: the trust bundle, and the answer to what is asked for. A certificate is kept
 * after a handshake with it has held; what isn't fit is told once, and left.
 * @module
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type Certificate, checkNames, readCertificate } from './certificate.ts';
import type { CertificateFolder } from './certificate-folder.ts';
import { readPlainFile } from './durable-file.ts';
import { rehearse } from './rehearsal.ts';
import type { SettledOptions } from './renewal.ts';
import { refusalOf } from './request-files.ts';
import { followTrustBundle } from './trust-bundle.ts';

interface AnswersParts {
  readonly options: SettledOptions;
  readonly store: CertificateFolder;
  readonly isClosed: () => boolean;
  /** Told why an answer can't be used, or that the issuer refused. */
  readonly fail: (detail: string) => void;
}

export class Answers {
  private readonly parts: AnswersParts;
  /** Answers of which it was told that they can't be used. */
  private readonly told = new Set<string>();

  constructor(parts: AnswersParts) {
    this.parts = parts;
  }

  /** Takes over the trust bundle. Before answers are looked at: the next root may have signed them. */
  followTrust(): void {
    const { options, store } = this.parts;
    const { folder, requester, inbox, outbox, clock, onEvent } = options;
    const { requestKey } = store;
    const now = Math.floor(clock.now() / 1000);
    try {
      const version = followTrustBundle({ folder, requestKey, requester, inbox, outbox, now });
      if (version !== undefined) onEvent({ event: 'trusted', version });
    } catch (error) {
      const detail = (error as Error).message;
      // No reason to wait with anything else: the roots of before are as good as they were.
      if (this.isNew('trust-bundle', detail)) onEvent({ event: 'failed', detail });
    }
  }

  /** Puts the answer to what is asked for into the folder; undefined where there is none that is fit. */
  async take(): Promise<Certificate | undefined> {
    const { options, store, isClosed, fail } = this.parts;
    const pending = store.pending();
    for (const { id } of pending?.requests.toReversed() ?? []) {
      if (isClosed()) return undefined;
      const file = join(options.outbox, `${id}.pem`);
      let chain: string | undefined;
      try {
        const refusal = refusalOf(options.inbox, id);
        if (refusal !== undefined && this.isNew(id, refusal)) {
          fail(`The issuer refused the request ${id}: ${refusal}`);
        }
        chain = readPlainFile(file);
        if (chain === undefined || !pending) continue;
        return await this.keep(chain, pending.key);
      } catch (error) {
        // Also of what can't be read at all: it is no reason not to ask anew.
        const { message } = error as Error;
        if (this.isNew(id, chain ?? message)) fail(`${file}: ${message}`);
      }
    }
    return undefined;
  }

  /** Tells of everything anew. */
  forget(): void {
    this.told.clear();
  }

  private async keep(chain: string, key: Certificate['key']): Promise<Certificate> {
    const { options, store } = this.parts;
    const { use, names, clock } = options;
    const trust = store.trust();
    const certificate = readCertificate(chain, { key, trust, use, now: clock.now() });
    checkNames(certificate, names);
    await rehearse({ certificate, use, names, trust });
    store.replace(certificate);
    return certificate;
  }

  private isNew(id: string, answer: string): boolean {
    const told = createHash('sha256').update(`${id} ${answer}`).digest('hex');
    if (this.told.has(told)) return false;
    this.told.add(told);
    return true;
  }
}
