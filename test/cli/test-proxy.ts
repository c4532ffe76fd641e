/**
 * A proxy between a caller and the gateway, as small as it can be, that changes what passes in the way that a test says.
 * @module
 */
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Passing {
  readonly method: string;
  readonly target: string;
  readonly lines: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

export type Mistake = (passing: Passing) => Partial<Passing>;

export interface TestProxy {
  readonly port: number;
  /** How many requests came. */
  readonly count: number;
  /** What it does to the next requests; nothing unless set. */
  mistake: Mistake;
  /** Where it sends them. */
  forwardTo: number;
  close(): Promise<void>;
}

export async function startTestProxy(): Promise<TestProxy> {
  const server = createServer(async (req, res) => {
    proxy.count++;
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const came: Passing = {
      method: req.method as string,
      target: req.url as string,
      lines: pairs(req.rawHeaders),
      body: Buffer.concat(chunks),
    };
    const { method, target, lines, body } = { ...came, ...proxy.mistake(came) };
    const passed = request({
      host: '127.0.0.1',
      port: proxy.forwardTo,
      method,
      path: target,
      headers: lines.flat(),
      setHost: false,
      agent: false,
    });
    passed.on('response', (answer) => {
      res.writeHead(answer.statusCode as number, answer.rawHeaders);
      answer.pipe(res);
    });
    passed.on('error', () => res.destroy());
    passed.end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const proxy = {
    port,
    count: 0,
    mistake: (() => ({})) as Mistake,
    forwardTo: 0,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}

function pairs(raw: readonly string[]): [string, string][] {
  return Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i] as string, raw[2 * i + 1] as string]);
}

/** The lines with one field's value changed, or left out where the change gives undefined. */
export function withField(
  lines: Passing['lines'],
  name: string,
  change: (value: string) => string | undefined,
): Passing['lines'] {
  return lines.flatMap(([each, value]): Passing['lines'] => {
    if (each.toLowerCase() !== name) return [[each, value]];
    const changed = change(value);
    return changed === undefined ? [] : [[each, changed]];
  });
}
