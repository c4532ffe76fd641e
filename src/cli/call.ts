/**
 * `countersign call METHOD URL [BODY]`: a signed curl.
 * @module
 */
import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import {
  type Credentials,
  createTransport,
  draftRequest,
  type Exchange,
  exchange,
  guardPlainHttp,
  type PreparedRequest,
  prepareRequest,
  signingKey,
} from '../client/index.ts';
import { epochSeconds, systemClock } from '../clock.ts';
import { type Config, originText } from '../config/config.ts';
import { CountersignError } from '../errors.ts';
import { serializeString } from '../signatures/structured-fields.ts';
import { type CommonOptions, command, configOf, print, printJson, REFUSED } from './command.ts';
import { readGivenCredentials } from './given-credentials.ts';
import { type CertificateFiles, readShownCertificate } from './shown-certificate.ts';
import { trustedRoots } from './trusted-roots.ts';

interface CallOptions extends CommonOptions {
  readonly header?: [string, string][];
  readonly body?: string;
  readonly credentials?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly idempotencyKey?: string;
  readonly timeout: number;
  readonly verbose?: true;
  readonly printCurl?: true;
}

const MOST_RESPONSE = 64 * 1024 * 1024;

export function call(): Command {
  return command('call', 'sign a call, send it, verify the answer')
    .argument('<method>', 'such as GET or POST')
    .argument('<url>', 'a whole URL, or a path at the gateway of the credentials')
    .argument('[body]', 'the body; a body that is JSON is sent as JSON')
    .option('-H, --header <field>', 'a header field, "Name: value"; may stand several times', addHeader)
    .option('-d, --body <body>', 'the body, or @file')
    .option(
      '--credentials <file>',
      'a credentials file (COUNTERSIGN_CREDENTIALS, or demo.json in the data folder)',
    )
    .option('--ca <file>', 'trust these roots alone (PEM), for https')
    .option('--cert <file>', 'show this certificate (PEM, the leaf first), for https; with its --key')
    .option('--key <file>', 'the private key of --cert (PEM, without a passphrase)')
    .option('--idempotency-key <key>', 'the work is done once under this key')
    .option('--timeout <seconds>', 'how long to wait for the answer', seconds, 60)
    .option('-v, --verbose', 'show the signature bases and both messages')
    .option(
      '--print-curl',
      'print a curl command with the signed request, to run within a minute, and send nothing',
    )
    .action(run);
}

function addHeader(text: string, before: [string, string][] = []): [string, string][] {
  const colon = text.indexOf(':');
  if (colon < 1) throw new InvalidArgumentError('It must be "Name: value".');
  return [...before, [text.slice(0, colon).trim(), text.slice(colon + 1).trim()]];
}

function seconds(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number of seconds.');
  return value;
}

async function run(
  method: string,
  url: string,
  body: string | undefined,
  options: CallOptions,
  self: Command,
): Promise<void> {
  const files = certificateFiles(options, self);
  const { prepared, credentials } = await prepare(method, url, body, options);
  const { scheme, authority } = prepared.message;
  if (files && scheme !== 'https')
    throw new CountersignError('tls-required', 'A certificate is shown over https alone; the URL is http.');
  const shown = files && readShownCertificate(files);
  guardPlainHttp(scheme, authority, false);
  if (options.printCurl) return print(curlCommand(prepared, files));
  const roots = trustedRoots(options, { ca: credentials.ca, file: options.ca });
  const transport = createTransport({ ...roots, ...shown });
  try {
    const signal = AbortSignal.timeout(options.timeout * 1000);
    const result = await exchange(prepared, { transport, signal, maxResponseBody: MOST_RESPONSE });
    show(result, options);
    if (result.error) throw result.error;
    if (result.received.status >= 400) process.exitCode = REFUSED;
  } catch (error) {
    if ((error as Error).name !== 'TimeoutError') throw error;
    throw new CountersignError(
      'timeout',
      `No answer within ${options.timeout} s; is the gateway busy? --timeout waits longer.`,
    );
  } finally {
    transport.close();
  }
}

function certificateFiles({ cert, key }: CallOptions, self: Command): CertificateFiles | undefined {
  if (cert !== undefined && key !== undefined) return { cert, key };
  if (cert !== undefined || key !== undefined) self.error('error: give --cert and --key, both or neither');
  return undefined;
}

async function prepare(
  method: string,
  url: string,
  argument: string | undefined,
  options: CallOptions,
): Promise<{ prepared: PreparedRequest; credentials: Credentials }> {
  const credentials = await readGivenCredentials(options);
  const { origin, target } = split(url, () => credentials.url ?? defaultOrigin(configOf(options)));
  const headers = [...(options.header ?? [])];
  if (options.idempotencyKey !== undefined)
    headers.push(['Idempotency-Key', serializeString(options.idempotencyKey)]);
  const body = readBody(options.body) ?? argument;
  if (body !== undefined && !headers.some(([name]) => name.toLowerCase() === 'content-type')) {
    headers.push(['Content-Type', isJson(body) ? 'application/json' : 'text/plain; charset=utf-8']);
  }
  const draft = draftRequest({
    method: method.toUpperCase(),
    origin,
    target,
    headers,
    ...(body !== undefined && { body }),
  });
  const created = epochSeconds(systemClock);
  return { prepared: prepareRequest(draft, signingKey(credentials), { created }), credentials };
}

/** The gateway answers to its public origins alone, and its certificate bears their names. */
function defaultOrigin(config: Config): string {
  const { origins, port, tls } = config;
  const loopback = `${tls ? 'https' : 'http'}://127.0.0.1:${port}`;
  const named = origins.map(originText);
  return named.includes(loopback) ? loopback : (named[0] ?? loopback);
}

/** What is typed after the authority is the target, as it stands: no URL parser rewrites it on the way. */
function split(url: string, base: () => string): { origin: string; target: string } {
  const whole = /^(https?:\/\/[^/?#]+)([^#]*)/i.exec(url);
  const origin = whole?.[1] ?? base();
  if (!URL.canParse(origin))
    throw new CountersignError(
      'request-invalid',
      `${origin} is not a URL; write http://host/path, or a path alone.`,
    );
  const rest = (whole ? (whole[2] ?? '') : (url.split('#')[0] ?? '')).replace(/^([^?]*)\?$/, '$1');
  return { origin, target: rest.startsWith('/') ? rest : `/${rest}` };
}

function readBody(option: string | undefined): string | Buffer | undefined {
  if (!option?.startsWith('@')) return option;
  try {
    return readFileSync(option === '@-' ? 0 : option.slice(1));
  } catch (error) {
    throw new CountersignError('request-invalid', `The body can't be read: ${(error as Error).message}.`);
  }
}

function isJson(body: string | Buffer): boolean {
  try {
    JSON.parse(body.toString());
    return true;
  } catch {
    return false;
  }
}

function show(result: Exchange, options: CallOptions): void {
  if (options.json) printJson(asJson(result, options));
  else {
    const { received, verified, responseBase, prepared } = result;
    if (options.verbose) {
      print(`--- request\n${requestText(result)}\n\n--- signature base\n${prepared.base}\n`);
      print(`--- response\n${responseText(result)}\n\n--- signature base\n${responseBase ?? '(none)'}\n`);
    } else print(`${received.status} ${received.reason}\n${received.body}`);
    print(verified ? 'response verified' : 'response NOT verified');
  }
}

function asJson(result: Exchange, { verbose }: CallOptions) {
  const { received, verified, responseBase, prepared } = result;
  const shown = {
    status: received.status,
    verified: verified !== undefined,
    headers: Object.fromEntries(received.fields.entries()),
    body: parsed(received.body.toString()),
  };
  if (!verbose) return shown;
  return { ...shown, request: requestText(result), signatureBase: prepared.base, responseBase };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The request as it went over the wire. */
export function requestText({ sent }: Exchange): string {
  return messageText(`${sent.method} ${sent.target} HTTP/1.1`, sent.lines, sent.body);
}

/** The response as it came over the wire. */
export function responseText({ received }: Exchange): string {
  return messageText(`HTTP/1.1 ${received.status} ${received.reason}`, received.lines, received.body);
}

function messageText(first: string, lines: readonly (readonly [string, string])[], body: Buffer): string {
  return [
    first,
    ...lines.map(([name, value]) => `${name}: ${value}`),
    ...(body.length > 0 ? ['', body.toString()] : []),
  ].join('\n');
}

/** Runs as it stands within the minute for which its signature holds; the secret isn't in it. */
function curlCommand({ message, body }: PreparedRequest, files: CertificateFiles | undefined): string {
  const content = body.toString();
  if (!Buffer.from(content).equals(body) || content.includes('\0')) {
    throw new CountersignError('request-invalid', 'The body is not text, so it has no place in a command.');
  }
  const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  const fields = [...message.fields.entries()].map(
    ([name, value]) => `-H ${quote(value === '' ? `${name};` : `${name}: ${value}`)}`,
  );
  const parts = [
    // With -X HEAD curl would wait for a body.
    `curl --path-as-is --globoff ${message.method === 'HEAD' ? '--head' : `-X ${message.method}`}`,
    ...(files ? [`--cert ${quote(files.cert)} --key ${quote(files.key)}`] : []),
    ...fields,
    ...(body.length > 0 ? [`--data-raw ${quote(content)}`] : []),
    quote(`${message.scheme}://${message.authority}${message.target}`),
  ];
  return parts.join(' \\\n  ');
}
