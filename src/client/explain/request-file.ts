/**
 * Reading a request from a file: a raw HTTP/1.1 message (RFC 9112 section 2), with CRLF or LF, or a HAR.
 * @module
 */
import { readHar } from './har.ts';
import {
  checkMethod,
  FIELD_VALUE,
  type RecordedRequest,
  readTarget,
  TOKEN,
  unreadable,
} from './recorded-request.ts';

/** Bytes. A HAR holds the answers as well, and may hold many of them. */
export const MOST_FILE = 64 * 1024 * 1024;
const MOST_HEAD = 64 * 1024;
const MOST_LINES = 256;

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const SPACE = new Set([0x20, 0x09, 0x0d, 0x0a]);

/**
 * @param entry which request of a HAR, counted from 1.
 * @throws `request-invalid`, which says where the file can't be read.
 */
export function readRequestFile(file: Buffer, entry?: number): RecordedRequest {
  if (file.length > MOST_FILE) throw unreadable(`it is longer than ${MOST_FILE} bytes`);
  const bytes = file.subarray(file.subarray(0, 3).equals(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0);
  const first = bytes.find((byte) => !SPACE.has(byte));
  if (first === undefined) throw unreadable('it is empty');
  if (first === 0x7b) return readHar(bytes.toString(), entry);
  if (entry !== undefined) throw unreadable('--entry chooses from a HAR, and this is a raw request');
  return readRawRequest(bytes);
}

/** @throws `request-invalid` */
export function readRawRequest(bytes: Buffer): RecordedRequest {
  const { first, lines, rest } = readHead(bytes);
  const shape = /^(\S+) (\S+) HTTP\/(?:1\.[01]|2|2\.0)$/.exec(first);
  if (!shape) {
    throw unreadable(
      `its first line must be such as "POST /v1/echo HTTP/1.1", and is ${JSON.stringify(first.slice(0, 80))}`,
    );
  }
  const method = checkMethod(shape[1] as string);
  const notes: string[] = [];
  const { target, origin } = readTarget(shape[2] as string);
  return { method, target, origin, lines, body: readBody(lines, rest, notes), answer: undefined, notes };
}

interface Head {
  readonly first: string;
  readonly lines: [string, string][];
  /** What follows the empty line. */
  readonly rest: Buffer;
}

function readHead(bytes: Buffer): Head {
  const lines: [string, string][] = [];
  let first: string | undefined;
  let at = 0;
  for (let number = 1; at < bytes.length; number++) {
    const feed = bytes.indexOf(0x0a, at);
    const end = feed === -1 ? bytes.length : feed;
    if (end > MOST_HEAD) throw unreadable(`its head is longer than ${MOST_HEAD} bytes`);
    const line = bytes.toString('latin1', at, bytes[end - 1] === 0x0d && end > at ? end - 1 : end);
    at = end + 1;
    if (line === '') {
      // Editors and servers alike let an empty line before the first pass (RFC 9112 section 2.2).
      if (first === undefined) continue;
      return { first, lines, rest: bytes.subarray(at) };
    }
    if (first === undefined) first = line;
    else lines.push(readLine(line, number));
    if (lines.length > MOST_LINES) throw unreadable(`it has more than ${MOST_LINES} header lines`);
  }
  // The empty line at the end is what editors are fondest of removing.
  return { first: first ?? '', lines, rest: Buffer.alloc(0) };
}

function readLine(line: string, number: number): [string, string] {
  if (/^[ \t]/.test(line)) {
    throw unreadable(`line ${number} begins with a space: a field goes on one line (RFC 9112 section 5.2)`);
  }
  const colon = line.indexOf(':');
  const name = line.slice(0, Math.max(colon, 0));
  if (!TOKEN.test(name)) throw unreadable(`line ${number} is not a header field such as "Name: value"`);
  const value = line.slice(colon + 1);
  if (!FIELD_VALUE.test(value)) throw unreadable(`line ${number} holds a control character`);
  return [name, value.startsWith(' ') ? value.slice(1) : value];
}

function readBody(lines: readonly (readonly [string, string])[], rest: Buffer, notes: string[]): Buffer {
  const value = (wanted: string) => lines.find(([name]) => name.toLowerCase() === wanted)?.[1].trim();
  if (/\bchunked$/i.test(value('transfer-encoding') ?? '')) {
    const joined = joinChunks(rest);
    if (joined) return joined;
    notes.push('Transfer-Encoding says chunked, and the body in the file is not; it is taken as it stands.');
    return rest;
  }
  const text = value('content-length');
  if (text === undefined) return rest;
  const length = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (rest.length === length) return rest;
  if (rest.length > length && /^[\r\n]{1,4}$/.test(rest.toString('latin1', length, length + 5))) {
    notes.push(
      `The file ends with a line break that Content-Length (${length}) doesn't count; it is left out.`,
    );
    return rest.subarray(0, length);
  }
  throw unreadable(
    `Content-Length says ${JSON.stringify(text)}, and ${rest.length} bytes follow the header fields. Save the body whole and to the byte`,
  );
}

/** RFC 9112 section 7.1. Undefined for what isn't chunks: most tools that record a request join them. */
function joinChunks(bytes: Buffer): Buffer | undefined {
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const feed = bytes.indexOf(0x0a, at);
    const size = /^([0-9a-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?$/i.exec(
      feed === -1 || feed - at > 1024 ? '' : bytes.toString('latin1', at, feed),
    );
    if (!size) return undefined;
    const length = Number.parseInt(size[1] as string, 16);
    // After the last chunk come trailers, which no signature of ours covers.
    if (length === 0) return Buffer.concat(chunks);
    const end = feed + 1 + length;
    if (end >= bytes.length) return undefined;
    chunks.push(bytes.subarray(feed + 1, end));
    if (bytes[end] === 0x0a) at = end + 1;
    else if (bytes[end] === 0x0d && bytes[end + 1] === 0x0a) at = end + 2;
    else return undefined;
  }
}
