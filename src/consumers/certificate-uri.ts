/**
 * The URI names by which client certificates are known: `spiffe://host/path`, in one spelling only (the SPIFFE ID
 * standard, section 2), so that two names are the same exactly where their text is.
 * @module
 */

const MOST_BYTES = 2048;
const MOST_HOST = 253;
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const HOST = `${LABEL}(?:\\.${LABEL})*`;
/** A segment of dots alone is a way up in the eyes of whoever reads it as a path. */
const SEGMENT = '(?!\\.{1,2}(?:/|$))[A-Za-z0-9._-]+';
const URI_NAME = new RegExp(`^spiffe://(${HOST})(?:/${SEGMENT})+$`);

/** What is wrong with a name; undefined where nothing is. */
export function certificateUriFault(uri: string): string | undefined {
  const [, host = ''] = uri.length <= MOST_BYTES ? (URI_NAME.exec(uri) ?? []) : [];
  if (host !== '' && host.length <= MOST_HOST) return undefined;
  return 'the certificate name must be spiffe://host/path: a host in lower case, a path of letters, digits, dots, hyphens and underscores, nothing encoded, no slash at the end';
}

export function isCertificateUri(uri: string): boolean {
  return certificateUriFault(uri) === undefined;
}
