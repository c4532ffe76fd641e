/**
 * `countersign explain REQUEST-FILE`: why a signature doesn't hold, line by line.
 * @module
 */
import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { type SigningKey, signingKey } from '../client/credentials.ts';
import { type Explanation, explain as explainRequest } from '../client/explain/diagnosis.ts';
import { type GatewayAnswer, readGivenAnswer, readRecordedAnswer } from '../client/explain/gateway-answer.ts';
import { askGateway, isAskable } from '../client/explain/inquiry.ts';
import { messageOf, type RecordedRequest } from '../client/explain/recorded-request.ts';
import { reportOf } from '../client/explain/report.ts';
import { readRequestFile } from '../client/explain/request-file.ts';
import { createTransport, type TlsOptions } from '../client/transport.ts';
import { epochSeconds, systemClock } from '../clock.ts';
import { CountersignError } from '../errors.ts';
import type { RequestMessage } from '../signatures/components.ts';
import { type CommonOptions, command, print, REFUSED } from './command.ts';
import { readGivenCredentials } from './given-credentials.ts';
import { trustedRoots } from './trusted-roots.ts';

interface ExplainOptions extends CommonOptions {
  readonly credentials?: string;
  readonly base?: string;
  readonly url?: URL;
  readonly entry?: number;
  readonly offline?: true;
  readonly timeout: number;
}

const HELP = `
The request is really sent, as it stands, unless --base or --offline is given, or the HAR holds the gateway's answer:
if the gateway accepts it, what it asks for is done, and its nonce is used up.

REQUEST-FILE is the request as it was sent: the text of an HTTP/1.1 message (what "countersign call --verbose" shows
as the request will do), or a HAR, such as the network panel of a browser exports.

Exit 0: nothing is known to be wrong. 1: a cause was found. 2: misused.`;

export function explain(): Command {
  return command('explain', "say why a request's signature is refused; sends the request, see below")
    .argument('<request-file>', 'a raw HTTP/1.1 request or a HAR; - for standard input')
    .option(
      '--credentials <file>',
      'the credentials that it was signed with (COUNTERSIGN_CREDENTIALS, or demo.json in the data folder)',
    )
    .option('--base <file>', "send nothing: the problem document that was kept, or its signatureBase's text")
    .option('--offline', 'send nothing: check the file and the secret alone')
    .option('--url <url>', 'where to send it, if elsewhere than to its own host, which stays in Host', url)
    .option('--entry <n>', 'which request of a HAR, counted from 1', count)
    .option('--timeout <seconds>', 'how long to wait for the answer', seconds, 30)
    .addHelpText('after', HELP)
    .action(run);
}

function url(text: string): URL {
  const given = URL.canParse(text) ? new URL(text) : undefined;
  if (given?.protocol === 'http:' || given?.protocol === 'https:') return given;
  throw new InvalidArgumentError('It must be an http or https URL.');
}

function count(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new InvalidArgumentError('It must be a number from 1.');
  return Number(text);
}

function seconds(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 86_400)) throw new InvalidArgumentError('It must be a number of seconds.');
  return value;
}

async function run(file: string, options: ExplainOptions): Promise<void> {
  const credentials = await readGivenCredentials(options);
  const key = signingKey(credentials);
  const recorded = readRequestFile(read(file, 'request'), options.entry);
  const message = messageOf(recorded, { url: options.url, gateway: key.url });
  const { answer, told } = await answerTo(
    recorded,
    message,
    key,
    options,
    trustedRoots(options, credentials),
  );
  const hosts = [key.url?.host, options.url?.host, recorded.origin?.authority];
  const explanation = explainRequest({
    recorded,
    message,
    key,
    answer,
    now: epochSeconds(systemClock),
    authorities: hosts.filter((host) => host !== undefined),
  });
  const text = options.json
    ? asJson(explanation, answer)
    : `${message.method} ${message.scheme}://${message.authority}${message.target}\n${told}\n\n${reportOf(explanation)}`;
  print(withoutSecret(text, credentials.secret));
  if (explanation.causes.length > 0) process.exitCode = REFUSED;
}

interface Reply {
  readonly answer: GatewayAnswer | undefined;
  /** Where the gateway's view comes from, for people. */
  readonly told: string;
}

async function answerTo(
  recorded: RecordedRequest,
  message: RequestMessage,
  key: SigningKey,
  { base, offline, url, timeout }: ExplainOptions,
  trusted: TlsOptions,
): Promise<Reply> {
  if (base !== undefined) {
    return {
      answer: readGivenAnswer(read(base, 'signature base')),
      told: `The gateway's view is that of ${base}.`,
    };
  }
  const kept = url === undefined && recorded.answer ? readRecordedAnswer(recorded.answer) : undefined;
  if (kept) return { answer: kept, told: `The gateway's answer stands in the HAR: ${outcome(kept)}.` };
  // Without a signature of ours there is nothing to compare, and the call would only be carried out.
  if (offline || !isAskable(message)) return { answer: undefined, told: 'Nothing was sent.' };
  const { scheme, authority } = recorded.origin ?? message;
  const to = url ?? new URL(`${scheme}://${authority}`);
  const transport = createTransport(trusted);
  try {
    const signal = AbortSignal.timeout(timeout * 1000);
    const answer = await askGateway(recorded, message, key, { transport, signal, to });
    return { answer, told: `It was sent to ${to.origin}: ${outcome(answer)}.` };
  } catch (error) {
    return { answer: undefined, told: unanswered(error, to, timeout) };
  } finally {
    transport.close();
  }
}

function outcome({ status, code, verified }: GatewayAnswer): string {
  return `${status ?? 'no HTTP'}, ${code ?? 'accepted'}, the answer ${verified ? 'verified' : 'not verified'}`;
}

function unanswered(error: unknown, to: URL, timeout: number): string {
  if (error instanceof CountersignError && error.code === 'connection-lost') return error.message;
  if ((error as Error).name !== 'TimeoutError') throw error;
  return `${to.origin} gave no answer within ${timeout} s; --timeout waits longer.`;
}

function read(file: string, what: string): Buffer {
  try {
    return readFileSync(file === '-' ? 0 : file);
  } catch (error) {
    throw new CountersignError('request-invalid', `The ${what} can't be read: ${(error as Error).message}.`);
  }
}

function asJson(explanation: Explanation, answer: GatewayAnswer | undefined): string {
  const gateway = answer
    ? { source: answer.source, status: answer.status ?? null, code: answer.code ?? null }
    : null;
  return JSON.stringify({ ...explanation, gateway }, null, 2);
}

/** A request may hold its own secret by mistake, and what is printed here ends in tickets. */
function withoutSecret(text: string, secret: string): string {
  const bytes = Buffer.from(secret, 'base64');
  const forms = [secret, secret.replace(/=+$/, ''), bytes.toString('base64url'), bytes.toString('hex')];
  return forms.reduce((shown, form) => shown.replaceAll(form, '<the secret>'), text);
}
