/**
 * What a call is asked for that bears no credential, or one that isn't good (RFC 9110 section 11.6.1): every kind that
 * its route takes.
 * @module
 */
import { CountersignError } from '../errors.ts';
import type { CallState, CredentialKind } from './call.ts';

/** RFC 9421 section 5. */
const ACCEPT_SIGNATURE =
  'cs=("@method" "@target-uri" "content-digest" "content-type");created;expires;nonce;keyid;alg="hmac-sha256";tag="countersign-request-v1"';

const REALM = 'realm="countersign"';
const SCHEMES: Readonly<Record<CredentialKind, string | undefined>> = {
  signature: `Signature ${REALM}`,
  // RFC 6750 section 3.
  bearer: `Bearer ${REALM}`,
  // No scheme of authentication has a cookie: a browser's user is sent to the login by its page.
  cookie: undefined,
  // RFC 7617 section 2.1.
  basic: `Basic ${REALM}, charset="UTF-8"`,
};

const NAMES: Readonly<Record<CredentialKind, string>> = {
  signature: 'a signature (RFC 9421, hmac-sha256)',
  bearer: 'a bearer token',
  cookie: 'a session cookie',
  basic: 'a password (Basic)',
};

/** What anybody on the way could read may go over TLS alone, or not leave the machine. */
export function isConfidential({ loopback, message }: CallState): boolean {
  return loopback || message.scheme === 'https';
}

/** The kinds that the call's route takes over the way that it came. */
export function offered(state: CallState): readonly CredentialKind[] {
  const { credential } = state.route;
  if (credential === 'none') return [];
  return isConfidential(state) ? credential : credential.filter((kind) => kind === 'signature');
}

/** In words, for the detail of a refusal. */
export function namesOf(kinds: readonly CredentialKind[]): string {
  return kinds.map((kind) => NAMES[kind]).join(', or ');
}

/**
 * The header fields of a 401.
 * @param failed the credential that wasn't good. A browser would answer the challenge of Basic with a dialogue of its
 *   own, so a page that holds a session never gets one.
 */
export function challengeOf(
  kinds: readonly CredentialKind[],
  failed?: CredentialKind,
): Readonly<Record<string, string>> {
  const challenges = kinds.flatMap((kind) => {
    if (kind === 'basic' && failed === 'cookie') return [];
    const scheme = SCHEMES[kind];
    if (scheme === undefined) return [];
    return [kind === 'bearer' && failed === 'bearer' ? `${scheme}, error="invalid_token"` : scheme];
  });
  return {
    ...(kinds.includes('signature') && { 'Accept-Signature': ACCEPT_SIGNATURE }),
    ...(challenges.length > 0 && { 'WWW-Authenticate': challenges.join(', ') }),
  };
}

/** The refusal with the challenge of its route. */
export function withChallenge(
  error: CountersignError,
  kinds: readonly CredentialKind[],
  failed: CredentialKind,
): CountersignError {
  return new CountersignError(error.code, error.message, {
    cause: error,
    members: error.members,
    headers: { ...error.headers, ...challengeOf(kinds, failed) },
  });
}
