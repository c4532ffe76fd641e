/**
 * Sends bytes that may be anything, and holds whatever comes back against a second reader.
 * @module
 */
import type { TestGateway } from '../../src/testing.ts';
import { read, whatIsSigned } from './second-reader.ts';
import { type Answer, bytesOf, Connection, type RawRequest, verifyAnswer } from './wire.ts';

/** Milliseconds after which a gateway that wants more bytes is told that none will come. */
const PATIENCE = 1500;

const signatureInputOf = ({ headers }: RawRequest) =>
  headers.find(([name]) => name === 'Signature-Input')?.[1] ?? '';

/** Sends bytes, in these pieces, and reads the first final answer; undefined where the connection is closed instead. */
export async function exchange(port: number, pieces: readonly Buffer[]): Promise<Answer | undefined> {
  const bytes = Buffer.concat(pieces);
  const connection = await Connection.open(port);
  for (const piece of pieces) {
    connection.write(piece);
    if (pieces.length > 1) await new Promise(setImmediate);
  }
  // Whatever is waited for doesn't come. Else the answer is what is waited for, since an early end would lose it.
  const isIncomplete = read(bytes) === 'incomplete';
  if (isIncomplete) connection.end();
  const impatience = setTimeout(() => connection.end(), PATIENCE);
  try {
    const method = /^(?:\r\n)*(\S*)/.exec(bytes.toString('latin1'))?.[1];
    let answer = await connection.next(method);
    while (answer && answer.status < 200) answer = await connection.next(method);
    return answer;
  } catch (error) {
    // An end amid an answer is the fate of who ended first.
    if (isIncomplete) return undefined;
    throw error;
  } finally {
    clearTimeout(impatience);
    connection.close();
  }
}

/**
 * Throws unless the gateway did right by these bytes: it refused them, or closed the connection, or served what reads
 * to a second reader as one of the signed requests.
 */
export function judge(
  answer: Answer | undefined,
  bytes: Buffer,
  originals: readonly RawRequest[],
  { credentials }: Pick<TestGateway, 'credentials'>,
): 'served' | 'refused' | 'closed' {
  if (!answer) return 'closed';
  if (answer.status >= 400 && answer.status < 500) {
    if (!answer.headers.has('countersign-refusal')) throw new Error(`${answer.status} without a code`);
    return 'refused';
  }
  if (answer.status !== 200) throw new Error(`it was answered ${answer.status}: ${answer.body}`);
  const reading = read(bytes);
  if (typeof reading === 'string') throw new Error(`it was served, and a second reader finds it ${reading}`);
  for (const original of originals.filter((each) => answers(answer, each))) {
    const signed = read(bytesOf(original));
    if (typeof signed === 'string') throw new Error(`the original is ${signed}`);
    const input = signatureInputOf(original);
    if (whatIsSigned(reading, input) === whatIsSigned(signed, input)) {
      verifyAnswer(answer, original, credentials);
      return 'served';
    }
  }
  throw new Error('it was served, and is not what was signed');
}

/** Whether the answer bears the request's nonce. */
function answers(answer: Answer, request: RawRequest): boolean {
  const nonce = /nonce="[^"]+"/.exec(signatureInputOf(request))?.[0] ?? '';
  return answer.headers.get('signature-input')?.includes(nonce) ?? false;
}

/** Runs the work on each item, some at a time. */
export async function inParallel<T>(items: Iterable<T>, work: (item: T) => Promise<void>): Promise<void> {
  const iterator = items[Symbol.iterator]();
  const worker = async () => {
    for (let next = iterator.next(); !next.done; next = iterator.next()) await work(next.value);
  };
  await Promise.all(Array.from({ length: 16 }, worker));
}
