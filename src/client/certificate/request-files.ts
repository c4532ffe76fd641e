/**
 * A request on its way to the issuer: `ID.csr`, `ID.json` that says who asks for what and until when, and `ID.sig` over
 * the bytes of `ID.json`, written last: once it lies there, the request is whole.
 * @module
 */
import { createHash, type KeyObject, sign, type X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { CertificateUse } from './certificate.ts';
import { readPlainFile, removeFile, replaceFile } from './durable-file.ts';

/** Seconds for which a request holds: as long as an issuer allows, since a person may carry it. */
export const REQUEST_LIFE = 24 * 3600;

const PARTS = ['csr', 'json', 'sig'] as const;

export interface RequestDraft {
  readonly id: string;
  readonly csr: string;
  readonly requester: string;
  readonly use: CertificateUse;
  /** The root that is asked. */
  readonly root: X509Certificate;
  /** Epoch seconds. */
  readonly created: number;
  readonly sequence: number;
}

/** @param key the Ed25519 request key. @returns when it expires, in epoch seconds. */
export function dropRequest(inbox: string, draft: RequestDraft, key: KeyObject): number {
  const { id, csr, requester, use, root, created, sequence } = draft;
  const expires = created + REQUEST_LIFE;
  const document = {
    requester,
    use,
    csrSha256: createHash('sha256').update(csr).digest('hex'),
    issuer: fingerprintOf(root),
    created,
    expires,
    sequence,
  };
  const json = Buffer.from(`${JSON.stringify(document, null, 2)}\n`);
  mkdirSync(inbox, { recursive: true });
  const contents = { csr, json, sig: `${sign(null, json, key).toString('base64')}\n` };
  // Carried by others, perhaps under another account: there is no secret in it.
  for (const part of PARTS) replaceFile(join(inbox, `${id}.${part}`), contents[part], 0o644);
  return expires;
}

/** Whether the request waits where it was dropped. */
export function isWaiting(inbox: string, id: string): boolean {
  return existsSync(join(inbox, `${id}.sig`));
}

/** Takes back a request that nobody has taken. */
export function withdrawRequest(inbox: string, id: string): void {
  for (const part of PARTS.toReversed()) removeFile(join(inbox, `${id}.${part}`));
}

/** Why the issuer refused it, where its inbox is ours; undefined where it didn't, or nobody can know. */
export function refusalOf(inbox: string, id: string): string | undefined {
  const text = readPlainFile(join(inbox, 'rejected', `${id}.reason.json`));
  if (text === undefined) return undefined;
  try {
    const { code, detail } = JSON.parse(text);
    return `${detail} (${code})`;
  } catch {
    return 'it gives no reason that can be read';
  }
}

/** SHA-256 of the certificate's DER in lower-case hex. */
export function fingerprintOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(':', '').toLowerCase();
}
