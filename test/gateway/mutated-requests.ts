/**
 * Sends mutated requests to a gateway and judges what comes back.
 * @module
 */
import { contentDigest } from '../../src/signatures/index.ts';
import type { TestGateway } from '../../src/testing.ts';
import { Chance } from './chance.ts';
import { exchange, inParallel, judge } from './hostile-wire.ts';
import { type Mutation, mutations } from './mutations.ts';
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
function makeRequest(chance: Chance, gateway: TestGateway): RawRequest {
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
    const chance = new Chance(seed);
    const [request, other] = [makeRequest(chance, gateway), makeRequest(chance, gateway)];
    let text = bytesOf(request).toString('latin1');
    const names: string[] = [];
    for (let i = chance.below(3); i >= 0; i--) {
      const name = chance.pick(Object.keys(mutations));
      names.push(name);
      text = (mutations[name] as Mutation)(text, chance, bytesOf(other).toString('latin1')) || ' ';
    }
    const bytes = Buffer.from(text, 'latin1');
    try {
      const answer = await exchange(gateway.port, inPieces(bytes, chance));
      ends[judge(answer, bytes, [request, other], gateway)]++;
    } catch (error) {
      const what = `seed ${seed} (${names.join(', ')}): ${(error as Error).message}`;
      throw new Error(`${what}\n${JSON.stringify(text)}`, { cause: error });
    }
  });
  return ends;
}
