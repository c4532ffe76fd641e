/**
 * That a requester has taken a trust bundle over, in one file that travels to the inbox, `ID.ack`:
 *
 *   { "document": base64 of { "requester", "version", "digest", "created" }, "signature": base64 }
 *
 * signed with its request key over the bytes of the document, after a line that names their purpose.
 * @module
 */
import { verify } from 'node:crypto';
import { z } from 'zod';
import type { History } from './history.ts';
import { refused } from './names.ts';
import { REQUESTER } from './profile.ts';
import { findApproved } from './requesters.ts';

/** Before the signed bytes, so that no request is an acknowledgement, and none of these a request. */
const PURPOSE = Buffer.from('countersign-acknowledgement-v1\n');

const envelope = z.strictObject({ document: z.base64(), signature: z.base64() });

const schema = z.strictObject({
  requester: z.string().regex(REQUESTER),
  version: z.int().positive(),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  created: z.int().nonnegative(),
});

export interface Acknowledgement {
  readonly requester: string;
  /** Fingerprint of the request key: another key is another machine, which may not have the bundle. */
  readonly requestKey: string;
  readonly version: number;
  readonly digest: string;
}

/**
 * `certificate-request-refused` for what isn't one, or is of a bundle that was never made; `requester-unknown`.
 */
export function readAcknowledgement(bytes: Buffer, folder: string, history: History): Acknowledgement {
  const outer = parse(envelope, bytes);
  const document = Buffer.from(outer.document, 'base64');
  const { requester, version, digest } = parse(schema, document);
  const { key, fingerprint } = findApproved(folder, requester, history);
  const signature = Buffer.from(outer.signature, 'base64');
  if (!verify(null, Buffer.concat([PURPOSE, document]), key, signature)) {
    throw refused(`It was not signed with the request key of ${requester}.`);
  }
  if (history.bundles.get(version)?.digest !== digest) {
    throw refused(`It acknowledges a bundle of version ${version} that was not made here.`);
  }
  return { requester, requestKey: fingerprint, version, digest };
}

function parse<T>(shape: z.ZodType<T>, bytes: Buffer): T {
  try {
    return shape.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch {
    throw refused('It is no acknowledgement.');
  }
}
