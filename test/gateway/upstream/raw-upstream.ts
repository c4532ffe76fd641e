/** An upstream on a bare socket: it sees the bytes of each request, and answers with whatever bytes a test wants. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

export interface RawUpstream {
  readonly upstream: string;
  /** Each request as it arrived, head and body. */
  readonly requests: string[];
  /** How many connections were made. */
  readonly connections: () => number;
  close(): Promise<void>;
}

/** @param answer called once a request is complete. */
export async function rawUpstream(answer: (socket: Socket, request: string) => void): Promise<RawUpstream> {
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    sockets.add(socket);
    let held = '';
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      held += chunk.toString('latin1');
      const end = held.indexOf('\r\n\r\n') + 4;
      if (end === 3) return;
      const length = Number(/^content-length: (\d+)\r$/im.exec(held)?.[1] ?? 0);
      if (held.length < end + length) return;
      const request = held.slice(0, end + length);
      held = held.slice(end + length);
      requests.push(request);
      answer(socket, request);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    upstream: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    connections: () => connections,
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

/** An upstream that gives the same bytes to everyone. */
export function sameAnswer(bytes: string): Promise<RawUpstream> {
  return rawUpstream((socket) => socket.write(bytes, 'latin1'));
}
