/**
 * Makes an address pay for calls of nobody who is known: when its bucket is empty, unknown keys are refused unread. So are
 * calls by the public demo key, which pay alike: anybody can make its MAC, and each refused message would leave a nonce.
 * @module
 */
import type { KeyDirectory } from '../../consumers/key-directory.ts';
import { PUBLIC_DEMO } from '../../consumers/public-demo.ts';
import { CountersignError } from '../../errors.ts';
import type { FailureBuckets } from '../../limits/failure-bucket.ts';
import { MOST_SIGNATURES } from '../../signatures/signature-input.ts';
import type { Stage } from '../call.ts';
import { toProblem } from '../refusals.ts';

const KEYID = /;keyid="([^"\\]*)"/g;

export function limitFailures({ buckets, keys }: { buckets: FailureBuckets; keys: KeyDirectory }): Stage {
  return async function limitFailures(ctx, next) {
    const { state } = ctx;
    const wait = buckets.wait(state.address);
    if (wait > 0) refuseUnknown(state.message.fields.get('signature-input'), wait, keys);
    try {
      await next();
    } catch (error) {
      // The gateway's own failures are nobody's fault but ours.
      const isAnybodys = (!state.verified && !state.person) || state.consumer === PUBLIC_DEMO;
      if (isAnybodys && toProblem(error).status < 500) buckets.charge(state.address);
      throw error;
    }
  };
}

/**
 * Only a glance: a known key is verified with care afterwards. An unsigned call is refused cheaply anyway, and one with
 * a password by the logins' own throttle (accounts/login-throttle.ts).
 */
function refuseUnknown(signatureInput: string | undefined, wait: number, keys: KeyDirectory): void {
  if (signatureInput === undefined) return;
  // A proxy may have put a signature of its own beside the caller's.
  let looked = 0;
  for (const [, keyid = ''] of signatureInput.matchAll(KEYID)) {
    if (++looked > MOST_SIGNATURES) break;
    const key = keys.find(keyid);
    if (key && key.consumer !== PUBLIC_DEMO) return;
  }
  throw new CountersignError(
    'rate-limited',
    'Too many calls from this address were refused. Mend the key or the signature, then try again after Retry-After.',
    { headers: { 'Retry-After': String(Math.ceil(wait)) } },
  );
}
