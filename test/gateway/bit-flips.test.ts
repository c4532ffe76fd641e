/** One flipped bit anywhere in what is signed is refused; anywhere else, it changes nothing of what is signed. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestGateway, type TestGateway } from '../../src/testing.ts';
import { exchange, inParallel, judge } from './hostile-wire.ts';
import { bytesOf, type RawRequest, send, sign } from './wire.ts';

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startTestGateway({ settings: { limits: { failures: { burst: 1_000_000 } } } });
});
afterAll(() => gateway.close());

const make = () =>
  sign(gateway, gateway.credentials, {
    target: '/v1/echo?a=1',
    headers: [
      ['Accept', 'text/html'],
      ['X-Many', 'one'],
      ['X-Many', 'two, three'],
    ],
    cover: ['@method', '@target-uri', 'content-digest', 'content-type', 'accept', 'x-many'],
  });

interface Part {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** Where the parts of a message lie among its bytes. */
function partsOf(request: RawRequest): Part[] {
  const parts: Part[] = [];
  let at = 0;
  const add = (name: string, text: string, isPart = true) => {
    if (isPart) parts.push({ name, from: at, to: at + text.length });
    at += text.length;
  };
  const [line = '', version] = [request.line.slice(0, -'HTTP/1.1'.length), 'HTTP/1.1\r\n'];
  add('method and target', line);
  add('the version', version);
  for (const [name, value] of request.headers) {
    add(`the name of ${name}`, `${name}: `);
    add(name, value);
    add(`the end of ${name}`, '\r\n');
  }
  add('the end of the header section', '\r\n');
  add('the body', request.body);
  return parts;
}

function* bitsOf({ from, to }: Part): Iterable<readonly [number, number]> {
  for (let byte = from; byte < to; byte++) for (let bit = 0; bit < 8; bit++) yield [byte, bit];
}

function flipped(bytes: Buffer, [byte, bit]: readonly [number, number]): Buffer {
  const copy = Buffer.from(bytes);
  copy[byte] = (copy[byte] as number) ^ (1 << bit);
  return copy;
}

const signedParts = [
  'method and target',
  'Host',
  'Content-Type',
  'Content-Digest',
  'Accept',
  'X-Many',
  'Signature-Input',
  'Signature',
];

describe('a flipped bit', () => {
  it.each(signedParts)('in %s is refused, and leaves the original good', async (name) => {
    const request = make();
    const bytes = bytesOf(request);
    let count = 0;
    for (const part of partsOf(request).filter((each) => each.name === name)) {
      await inParallel(bitsOf(part), async (bit) => {
        const changed = flipped(bytes, bit);
        const answer = await exchange(gateway.port, [changed]);
        if (answer && (answer.status < 400 || answer.status > 499)) {
          throw new Error(`${answer.status} with bit ${bit}: ${changed.toString('latin1')}`);
        }
        count++;
      });
    }
    expect(count).toBeGreaterThan(60);
    expect((await send(gateway, request)).status).toBe(200);
  });

  it('in the body is refused', async () => {
    const body = partsOf(make()).at(-1) as Part;
    await inParallel(bitsOf(body), async (bit) => {
      const request = make();
      const answer = await exchange(gateway.port, [flipped(bytesOf(request), bit)]);
      expect(answer?.status).toBe(400);
      expect(answer?.headers.get('countersign-refusal')).toBe('digest-mismatch');
    });
  });

  it('anywhere else is refused, or makes no difference to what was signed', async () => {
    const ends = { served: 0, refused: 0, closed: 0 };
    const others = partsOf(make()).filter(({ name }) => !signedParts.includes(name) && name !== 'the body');
    for (const part of others) {
      await inParallel(bitsOf(part), async (bit) => {
        const request = make();
        const changed = flipped(bytesOf(request), bit);
        const answer = await exchange(gateway.port, [changed]);
        try {
          ends[judge(answer, changed, [request], gateway)]++;
        } catch (error) {
          throw new Error(`bit ${bit} of ${part.name}: ${changed.toString('latin1')}`, { cause: error });
        }
      });
    }
    // Names may be written in capitals or not: so many are served.
    expect(ends.served).toBeGreaterThan(50);
    expect(ends.refused).toBeGreaterThan(500);
  });
});
