/**
 * Sends mutated requests to a gateway and judges what comes back.
 * @module
 */
import {
  CountersignError,
  checkTarget,
  contentDigest,
  Fields,
  presentRequest,
  secretKey,
  verifyContentDigest,
  verifyRequest,
} from '../../src/signatures/index.ts';
import type { TestGateway } from '../../src/testing.ts';
import { Chance } from './chance.ts';
import { exchange, inParallel, judge } from './hostile-wire.ts';
import { type Mutation, mutations } from './mutations.ts';
import { read, whatIsSigned } from './second-reader.ts';
import { bytesOf, type Draft, type RawRequest, sign } from './wire.ts';

const DRAFTS: readonly Draft[] = [
  {},
  { body: '{"amount":100,"to":"a"}', headers: [['Accept', 'text/html']] },
  {
    target: '/v1/echo?a=1&b=%20c',
    cover: ['@method', '@scheme', '@authority', '@path', '@query', 'content-digest', 'content-type'],
  },
  {
    headers: [
      ['Countersign-Narrow', 'demo'],
      ['Range', 'bytes=0-1'],
    ],
  },
  {
    headers: [
      ['X-Many', 'one'],
      ['X-Many', 'two'],
    ],
    cover: ['x-many', 'content-type', '@target-uri', 'content-digest', '@method'],
  },
  { method: 'GET', target: '/v1/whoami' },
  {
    method: 'GET',
    target: '/v1/whoami?x',
    headers: [
      ['If-Match', '"1"'],
      ['Content-Digest', contentDigest('')],
    ],
  },
];

/** One of several good requests. */
function makeRequest(
  chance: Chance,
  gateway: Pick<TestGateway, 'port' | 'clock' | 'credentials'>,
): RawRequest {
  const request = sign(gateway, gateway.credentials, chance.pick(DRAFTS));
  if (request.body === '' || chance.below(3) > 0) return request;
  const at = chance.below(request.body.length - 1) + 1;
  const chunks = [request.body.slice(0, at), request.body.slice(at), ''];
  return {
    ...request,
    headers: request.headers.map(([name, value]) =>
      name === 'Content-Length' ? ['Transfer-Encoding', 'chunked'] : [name, value],
    ),
    body: chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join(''),
  };
}

/** In pieces, so that what is read comes in more than one turn. */
function inPieces(bytes: Buffer, chance: Chance): Buffer[] {
  if (chance.below(3) > 0) return [bytes];
  const at = chance.below(bytes.length);
  return [bytes.subarray(0, at), bytes.subarray(at)];
}

export interface MutationCounts {
  served: number;
  refused: number;
  closed: number;
}

interface Mutated {
  readonly bytes: Buffer;
  /** The good requests that it was made of. */
  readonly originals: readonly RawRequest[];
  readonly chance: Chance;
  /** For a failure's message: the seed, and what was done. */
  readonly what: string;
}

/** One mutated request; the same for the same seed but for nonces and times. */
function mutate(gateway: Pick<TestGateway, 'port' | 'clock' | 'credentials'>, seed: number): Mutated {
  const chance = new Chance(seed);
  const [request, other] = [makeRequest(chance, gateway), makeRequest(chance, gateway)];
  let text = bytesOf(request).toString('latin1');
  const names: string[] = [];
  for (let i = chance.below(3); i >= 0; i--) {
    const name = chance.pick(Object.keys(mutations));
    names.push(name);
    text = (mutations[name] as Mutation)(text, chance, bytesOf(other).toString('latin1')) || ' ';
  }
  return {
    bytes: Buffer.from(text, 'latin1'),
    originals: [request, other],
    chance,
    what: `seed ${seed} (${names.join(', ')}): ${JSON.stringify(text)}`,
  };
}

/**
 * Sends so many mutated requests and judges each; throws with the seed of the one that went wrong.
 * @param from the seed of the first; each next one has the next number.
 */
export async function sendMutated(
  gateway: TestGateway,
  from: number,
  count: number,
): Promise<MutationCounts> {
  const ends = { served: 0, refused: 0, closed: 0 };
  const seeds = Array.from({ length: count }, (_, i) => from + i);
  await inParallel(seeds, async (seed) => {
    const { bytes, originals, chance, what } = mutate(gateway, seed);
    try {
      const answer = await exchange(gateway.port, inPieces(bytes, chance));
      ends[judge(answer, bytes, originals, gateway)]++;
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${what}`, { cause: error });
    }
  });
  return ends;
}

const LIFE = { maxLife: 300, skew: 30 };

/**
 * The same without sockets: the mutated bytes are read by the second reader and given to the verifier. What it
 * accepts must be signed as one of the originals was; what it throws must be a refusal.
 */
export function verifyMutated(
  gateway: Pick<TestGateway, 'port' | 'clock' | 'credentials'>,
  from: number,
  count: number,
): { accepted: number; refused: number } {
  const ends = { accepted: 0, refused: 0 };
  const secret = secretKey(gateway.credentials.secret);
  const now = Math.floor(gateway.clock.now() / 1000);
  for (let seed = from; seed < from + count; seed++) {
    const { bytes, originals, what } = mutate(gateway, seed);
    const reading = read(bytes);
    if (typeof reading === 'string') continue;
    const { method, target } = reading;
    const lines = [...reading.fields].flatMap(([name, values]) =>
      values.map((value) => [name, value] as const),
    );
    const fields = Fields.fromEntries(lines);
    try {
      checkTarget(target);
      const message = {
        method,
        scheme: 'http',
        authority: fields.get('host') ?? '',
        target,
        fields,
      } as const;
      const presented = presentRequest(message, LIFE, { conditions: true }, now);
      const { digests } = verifyRequest(presented, secret);
      verifyContentDigest(digests, Buffer.from(reading.body, 'latin1'));
    } catch (error) {
      if (!(error instanceof CountersignError))
        throw new Error(`not a refusal: ${error}\n${what}`, { cause: error });
      ends.refused++;
      continue;
    }
    ends.accepted++;
    const input = fields.get('signature-input') ?? '';
    const isOriginal = originals.some((each) => {
      const original = read(bytesOf(each));
      return typeof original !== 'string' && whatIsSigned(original, input) === whatIsSigned(reading, input);
    });
    if (!isOriginal) throw new Error(`accepted, and not what was signed\n${what}`);
  }
  return ends;
}
