/**
 * Whether a call that a browser made with a session's cookie was meant by the session's own page (cross-site request
 * forgery). SameSite=Strict already keeps the cookie from other sites; this holds against other origins of the same
 * site, and in browsers that know no better.
 * @module
 */
import { isCsrfToken } from '../accounts/session.ts';
import { CountersignError } from '../errors.ts';
import type { RequestMessage } from '../signatures/components.ts';

const READS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Fetch Metadata: from a page of this origin, or from no page, as when somebody types an address. */
const OWN_SITE: ReadonlySet<string> = new Set(['same-origin', 'none']);

/**
 * A change needs both the Origin of this very host and port and the session's token; a read may leave them out.
 * @throws csrf
 */
export function checkCrossSite(
  { method, scheme, authority, fields }: RequestMessage,
  sessionId: string,
): void {
  const origin = fields.get('origin');
  const site = fields.get('sec-fetch-site');
  const changes = !READS.has(method);
  if (origin === undefined ? changes : origin !== `${scheme}://${authority}`) {
    throw csrf(`it must come from a page of this origin, with Origin: ${scheme}://${authority}`);
  }
  if (site !== undefined && !OWN_SITE.has(site)) throw csrf('a page of another origin has made it');
  if (changes && !isCsrfToken(sessionId, fields.get('countersign-csrf') ?? '')) {
    throw csrf("it must bear the session's token as Countersign-Csrf: the login answers it, and /v1/whoami");
  }
}

/**
 * A login that sets a cookie: another origin's page must not log its visitor in as somebody else. What sends neither
 * field is no browser of today, and has nobody's cookies.
 * @throws csrf
 */
export function checkFormOrigin({ scheme, authority, fields }: RequestMessage): void {
  const site = fields.get('sec-fetch-site');
  const own = `${scheme}://${authority}`;
  if ((fields.get('origin') ?? own) === own && (site === undefined || OWN_SITE.has(site))) return;
  throw new CountersignError('csrf', `A login by a form must come from a page of this origin, ${own}.`);
}

function csrf(why: string): CountersignError {
  return new CountersignError('csrf', `This call bears a session cookie, so ${why}.`);
}
