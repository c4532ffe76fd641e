/**
 * Asking the gateway: the recorded request is sent as it stands, and its answer judged as the client judges any.
 * @module
 */
import { CountersignError } from '../../errors.ts';
import type { RequestMessage } from '../../signatures/components.ts';
import type { SigningKey } from '../credentials.ts';
import { exchange } from '../exchange.ts';
import { guardPlainHttp } from '../plain-http.ts';
import { readHint } from '../refusal.ts';
import { ResponseError } from '../response-error.ts';
import type { Transport } from '../transport.ts';
import { readRecordedSignature } from './diagnosis.ts';
import { clockOf, fromHint, type GatewayAnswer, isCountersigned } from './gateway-answer.ts';
import { linesToSend, plainScheme, type RecordedRequest } from './recorded-request.ts';

export interface InquiryOptions {
  readonly transport: Transport;
  readonly signal: AbortSignal;
  /** Where to send it; its Host stays as it is. */
  readonly to: URL;
}

/** Whether the request bears a signature that a gateway would look at. */
export function isAskable(message: RequestMessage): boolean {
  try {
    readRecordedSignature(message);
    return true;
  } catch (error) {
    if (error instanceof CountersignError) return false;
    throw error;
  }
}

const MOST_ANSWER = 64 * 1024 * 1024;

/**
 * Really sends the request: what it asks for is done, if the gateway accepts it.
 * @throws `connection-lost` where nothing answers, or the signal's reason.
 */
export async function askGateway(
  recorded: RecordedRequest,
  message: RequestMessage,
  key: SigningKey,
  { transport, signal, to }: InquiryOptions,
): Promise<GatewayAnswer> {
  const { components, parameters } = readRecordedSignature(message);
  const { keyid, created, expires, nonce } = parameters;
  const prepared = {
    message,
    body: recorded.body,
    key: { ...key, keyid },
    components,
    created,
    expires,
    nonce,
    base: '',
  };
  guardPlainHttp(plainScheme(to), to.host, false);
  try {
    const { received, verified, error } = await exchange(prepared, {
      transport,
      signal,
      maxResponseBody: MOST_ANSWER,
      lines: linesToSend(recorded, message.authority),
      to,
    });
    const { status, fields, body } = received;
    // Signed with a secret that isn't ours, an answer still says what it is about.
    const told = error?.code === 'response-invalid' ? (readHint(status, fields, body) ?? error) : error;
    return {
      source: 'asked',
      status,
      ...fromHint(told),
      verified: verified !== undefined,
      countersigned: isCountersigned(fields),
      now: clockOf(fields, told?.members),
    };
  } catch (error) {
    if (!(error instanceof ResponseError)) throw error;
    return unreadableAnswer(error);
  }
}

function unreadableAnswer({
  code,
  message,
  status,
}: CountersignError & { status: number | undefined }): GatewayAnswer {
  return {
    source: 'asked',
    status,
    code,
    detail: message,
    verified: false,
    countersigned: false,
    base: undefined,
    now: undefined,
  };
}
