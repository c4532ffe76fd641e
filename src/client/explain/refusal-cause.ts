/**
 * What the gateway's answer adds to what the bases tell.
 * @module
 */
import type { ErrorCode } from '../../errors.ts';
import type { RequestMessage } from '../../signatures/components.ts';
import type { Cause } from './cause.ts';
import type { GatewayAnswer } from './gateway-answer.ts';

export interface KnownOfOurs {
  readonly keyid: string;
  /** Whether the MAC in the file holds. */
  readonly holds: boolean | null;
  /** Whether nothing in the file breaks the profile: then what a gateway refuses came about on the way. */
  readonly isOursGood: boolean;
  /** Lines whose values the gateway didn't tell. */
  readonly masked: readonly string[];
  readonly message: RequestMessage;
  readonly known: readonly Cause[];
}

/** What a code means for somebody who sent a recorded request again; the gateway's detail says the rest. */
const MEANING: Partial<Record<ErrorCode, string>> = {
  'nonce-replayed':
    'The signature holds. The gateway has answered these very bytes before, when they were recorded or explained; sign again for another try.',
  'key-inactive': 'The signature holds, and the key is not in force.',
  'role-missing': 'The signature holds, and the key may not do this.',
  'not-found': 'The signature holds, and nothing is at this path.',
  'method-not-allowed': 'The signature holds, and this path answers other methods.',
  'body-too-large': 'The signature holds, and the body is over the limit.',
  'store-unavailable': 'The signature holds, and the gateway can serve nothing now.',
  'upstream-unreachable': 'The signature holds; what lies behind the gateway failed.',
  'upstream-timeout': 'The signature holds; what lies behind the gateway is slow.',
  'upstream-invalid': 'The signature holds; what lies behind the gateway answered what it must not.',
  'rate-limited':
    'The gateway looks at no unknown key from this address for now. Explain it again after a while.',
  'request-malformed': 'Something on the way added a field a second time, or the request was recorded so.',
  'headers-too-large': 'Something on the way added header fields, or the request has too many.',
  'response-unsigned':
    'It is no answer of a gateway: a proxy answered in its place, or there is no gateway at this address.',
};

/** Causes beside those that are known already; none where the call was accepted. */
export function explainRefusal(answer: GatewayAnswer, ours: KnownOfOurs): Cause[] {
  const { code, detail = '' } = answer;
  if (code === undefined) return [];
  const has = (...codes: Cause['code'][]) => ours.known.some((each) => codes.includes(each.code));
  const told = detail && `The gateway says: ${detail}`;
  switch (code) {
    case 'signature-invalid':
      return ours.known.length > 0 ? [] : [invalid(answer, ours)];
    case 'signature-expired':
    case 'clock-skew':
      return has('clock-skewed', 'signature-expired') ? [] : [{ code, detail: told }];
    case 'digest-mismatch':
      return has('body-changed')
        ? []
        : [
            {
              code: 'body-changed',
              detail: `The signature holds, and the body that came to the gateway is not the one in the file: something on the way serialised it anew, compressed or cut it. Let it pass the bytes. ${told}`,
            },
          ];
    case 'origin-unknown':
      return [
        {
          code: 'host-changed',
          detail: `The Host that came to the gateway is none of its public origins. Either a proxy changed it on the way from "${ours.message.authority}" (let it pass Host as it came), or the gateway isn't configured for "${ours.message.authority}" (COUNTERSIGN_PUBLIC_ORIGINS). ${told}`,
        },
      ];
    case 'target-ambiguous':
      return ours.isOursGood
        ? [
            {
              code: 'path-escapes-changed',
              detail: `The path in the file is plain, and the one that came to the gateway is not: a proxy on the way changed its escapes. Let it pass the path as it came. ${told}`,
            },
          ]
        : [{ code, detail: told }];
    case 'signature-policy':
    case 'signature-malformed':
    case 'signature-missing':
      return ours.isOursGood
        ? [
            {
              code: 'header-changed',
              detail: `In the file the signature is well formed and covers what it must; what came to the gateway isn't so. Something on the way dropped, added or rewrote a header field, or the gateway allows less than by default. ${told}`,
            },
          ]
        : [{ code, detail: told }];
    case 'response-invalid':
      // With another secret than the gateway's, no answer can be verified.
      return has('secret-wrong', 'keyid-differs') ? [] : [{ code, detail }];
    default: {
      const known = code as ErrorCode;
      const meaning = MEANING[known];
      return [
        {
          code: known,
          detail: [meaning, told].filter(Boolean).join(' ') || `The gateway refused the call (${code}).`,
        },
      ];
    }
  }
}

function invalid({ base }: GatewayAnswer, { holds, keyid, masked, message }: KnownOfOurs): Cause {
  if (holds && base) {
    const unless =
      masked.length > 0
        ? ` Unless ${masked.join(', ')}, which it masks, came with other characters of the same number.`
        : '';
    return {
      code: 'secret-differs',
      detail: `The MAC holds with these credentials, and the gateway computed the same base: so the gateway has another secret for the keyid "${keyid}", or doesn't know that keyid. Is it the right gateway, and are these its newest credentials?${unless}`,
    };
  }
  const why = message.fields.has('cookie')
    ? ' It tells no signature base for a request with a Cookie: leave that out to see where they part.'
    : '';
  return {
    code: 'signature-invalid',
    detail: `The MAC holds with these credentials, and not at the gateway: it has another secret for the keyid "${keyid}", or doesn't know it, or something that is signed was changed on the way.${why}`,
  };
}
