/**
 * The wire as tests see it: requests as exact bytes over a socket, answers as they came, and what a signature on an
 * answer must hold, computed here anew.
 * @module
 */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { contentDigest, Fields, secretKey, signRequest } from '../../src/signatures/index.ts';
import { component } from '../../src/signatures/sign.ts';

export interface Key {
  readonly keyid: string;
  readonly secret: string;
}

export interface Target {
  readonly port: number;
  /** Default: http. */
  readonly scheme?: 'http' | 'https';
  readonly clock: { now(): number };
}

export interface Draft {
  readonly method?: string;
  readonly target?: string;
  /** One character a byte, as everything here. */
  readonly body?: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly host?: string;
  /** Component identifiers; the client's default where absent. */
  readonly cover?: readonly string[];
  readonly created?: number;
  readonly expires?: number;
  readonly nonce?: string;
}

/** A request that can be changed before it is sent: a request line, header lines, a body. */
export interface RawRequest {
  line: string;
  headers: [string, string][];
  body: string;
}

export function sign(gateway: Target, key: Key, draft: Draft = {}): RawRequest {
  const { method = 'POST', target = '/v1/echo', host = `127.0.0.1:${gateway.port}` } = draft;
  const body = draft.body ?? (method === 'POST' ? '{"hello":"world"}' : '');
  const headers: [string, string][] = [['Host', host]];
  if (body !== '') {
    headers.push(['Content-Type', 'application/json'], ['Content-Length', String(body.length)]);
    headers.push(['Content-Digest', contentDigest(Buffer.from(body, 'latin1'))]);
  }
  for (const [name, value] of draft.headers ?? []) headers.push([name, value]);
  const now = Math.floor(gateway.clock.now() / 1000);
  const { created = now, expires = created + 60, nonce = newNonce() } = draft;
  const message = {
    method,
    scheme: gateway.scheme ?? 'http',
    authority: host,
    target,
    fields: Fields.fromEntries(headers),
  } as const;
  const components = draft.cover?.map(component);
  const signing = { keyid: key.keyid, secret: secretKey(key.secret), created, expires, nonce };
  const signed = signRequest(message, components ? { ...signing, components } : signing);
  headers.push(['Signature-Input', signed.signatureInput], ['Signature', signed.signature]);
  return { line: `${method} ${target} HTTP/1.1`, headers, body };
}

export function newNonce(): string {
  return randomBytes(18).toString('base64url');
}

export function bytesOf({ line, headers, body }: RawRequest): Buffer {
  const head = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return Buffer.from(`${line}\r\n${head}\r\n${body}`, 'latin1');
}

export interface Answer {
  readonly status: number;
  readonly headers: Fields;
  readonly body: string;
}

export function problem(answer: Answer): { code: string; detail: string; [member: string]: unknown } {
  return JSON.parse(answer.body);
}

/** A connection that a test holds in its hand: what is written goes out as it is, answers are read one by one. */
export class Connection {
  /** Settles when the connection is closed, by whichever side. */
  readonly closed: Promise<void>;
  private readonly socket: Socket;
  private received = Buffer.alloc(0);
  private isClosed = false;
  private wake = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.wake();
    });
    // A reset is one of the ways in which the other side closes.
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.isClosed = true;
        this.wake();
        resolve();
      });
    });
  }

  static async open(port: number): Promise<Connection> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new Connection(socket);
  }

  /** Over a socket that is connected already, such as one of TLS. */
  static over(socket: Socket): Connection {
    return new Connection(socket);
  }

  write(bytes: Buffer | string): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** Says that nothing more will be written. */
  end(): void {
    this.socket.end();
  }

  /** Goes away with a reset, as a process that is killed may. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  close(): void {
    this.socket.destroy();
  }

  /** The next answer, an interim one too; undefined where the connection was closed instead. */
  async next(method = ''): Promise<Answer | undefined> {
    for (;;) {
      const found = parse(this.received, method);
      if (found) {
        this.received = this.received.subarray(found.length);
        return found.answer;
      }
      if (this.isClosed) {
        if (this.received.length === 0) return undefined;
        throw new Error(`the connection ended amid an answer: ${this.received.toString('latin1')}`);
      }
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  /** Every answer until the connection is closed. */
  async rest(): Promise<Answer[]> {
    const answers: Answer[] = [];
    for (let answer = await this.next(); answer; answer = await this.next()) answers.push(answer);
    return answers;
  }
}

/** Sends bytes on a connection of their own, and reads one answer; undefined where the connection was closed instead. */
export async function tryBytes(
  port: number,
  bytes: Buffer | string,
  method = '',
): Promise<Answer | undefined> {
  const connection = await Connection.open(port);
  try {
    connection.write(bytes);
    return await connection.next(method);
  } finally {
    connection.close();
  }
}

/** The same where an answer is due. */
export async function sendBytes(port: number, bytes: Buffer | string, method = ''): Promise<Answer> {
  const answer = await tryBytes(port, bytes, method);
  if (!answer) throw new Error('the connection was closed without an answer');
  return answer;
}

export function send(gateway: Pick<Target, 'port'>, request: RawRequest): Promise<Answer> {
  return sendBytes(gateway.port, bytesOf(request), request.line.split(' ')[0]);
}

function parse(received: Buffer, method: string): { answer: Answer; length: number } | undefined {
  const end = received.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const [first = '', ...lines] = received.subarray(0, end).toString('latin1').split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1]);
  if (!status) throw new Error(`no answer: ${JSON.stringify(first)}`);
  const headers = Fields.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)] as const),
  );
  const bodiless = method === 'HEAD' || status < 200 || status === 204 || status === 304;
  const size = bodiless ? 0 : Number(headers.get('content-length') ?? 0);
  const length = end + 4 + size;
  if (received.length < length) return undefined;
  return { answer: { status, headers, body: received.subarray(end + 4, length).toString() }, length };
}

const MEMBER =
  /^cs=(\((.*)\);created=(\d+);expires=(\d+);nonce="([^"]+)";keyid="([^"]+)";alg="hmac-sha256";tag="countersign-response-v1")$/;

/**
 * Recomputes the signature of an answer with nothing but a MAC and string handling.
 * @returns the identifiers that it covers; throws where anything doesn't hold.
 */
export function verifyAnswer(
  answer: Answer,
  request: RawRequest,
  key: Key,
  scheme: 'http' | 'https' = 'http',
): string[] {
  const [, params = '', list = '', , , nonce = '', keyid] =
    MEMBER.exec(answer.headers.get('signature-input') ?? '') ?? fail('no Signature-Input of ours');
  const sent = request.headers.find(([name]) => name === 'Signature-Input')?.[1] ?? '';
  if (!sent.includes(`nonce="${nonce}"`)) fail("the nonce is not the request's");
  if (keyid !== key.keyid) fail("the keyid is not the request's");
  const ids = list.match(/"[^"]*"(?:;[a-z]+(?:="[^"]*")?)*/g) ?? [];
  const lines = ids.map((id) => `${id}: ${valueIn(id, answer, request, scheme)}\n`).join('');
  const mac = createHmac('sha256', Buffer.from(key.secret, 'base64'))
    .update(`${lines}"@signature-params": ${params}`)
    .digest('base64');
  if (answer.headers.get('signature') !== `cs=:${mac}:`) fail('the MAC does not hold');
  const digest = `sha-256=:${createHash('sha256').update(answer.body).digest('base64')}:`;
  if (answer.headers.get('content-digest') !== digest) fail('the digest does not hold');
  return ids;
}

function valueIn(id: string, answer: Answer, request: RawRequest, scheme: string): string {
  const [, name = '', , query = '', bytes] = /^"([^"]*)"(;name="([^"]*)")?(;bs)?/.exec(id) ?? [];
  if (!id.endsWith(';req'))
    return name === '@status' ? String(answer.status) : (answer.headers.get(name) ?? fail(id));
  const [method = '', target = ''] = request.line.split(' ');
  const fields = Fields.fromEntries(request.headers);
  const [path = ''] = target.split('?');
  const derived: Record<string, () => string | undefined> = {
    '@method': () => method,
    '@target-uri': () => `${scheme}://${fields.get('host')}${target}`,
    '@authority': () => fields.get('host'),
    '@scheme': () => scheme,
    '@request-target': () => target,
    '@path': () => path,
    '@query': () => target.slice(path.length) || '?',
    '@query-param': () => encodeURIComponent(new URLSearchParams(target.slice(path.length)).get(query) ?? ''),
  };
  if (bytes)
    return fields
      .lines(name)
      .map((line) => `:${btoa(line)}:`)
      .join(', ');
  return derived[name]?.() ?? fields.get(name) ?? fail(`${id} has no value`);
}

function fail(why: string): never {
  throw new Error(`The answer can't be trusted: ${why}.`);
}
