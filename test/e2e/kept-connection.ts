/**
 * A connection that is kept open: requests as exact bytes, one after the other, as fast as they are answered.
 * @module
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface Reply {
  readonly status: number;
  /** The code of a refusal; undefined where it is none. */
  readonly refusal: string | undefined;
}

export class KeptConnection {
  private received = '';
  private settle: ((reply: Reply | undefined) => void) | undefined;
  private readonly socket: Socket;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1').on('data', (text: string) => {
      this.received += text;
      const reply = this.takeReply();
      if (reply) this.answer(reply);
    });
    // The other end is killed in the middle of it all.
    socket.on('error', () => {}).on('close', () => this.answer(undefined));
  }

  static async open(port: number): Promise<KeptConnection> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new KeptConnection(socket);
  }

  /** Sends a request and waits for its answer; undefined where the connection ends before it. */
  send(bytes: Buffer): Promise<Reply | undefined> {
    return new Promise((resolve) => {
      this.settle = resolve;
      if (this.socket.destroyed) this.answer(undefined);
      else this.socket.write(bytes);
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private answer(reply: Reply | undefined): void {
    this.settle?.(reply);
    this.settle = undefined;
  }

  private takeReply(): Reply | undefined {
    const end = this.received.indexOf('\r\n\r\n');
    if (end === -1) return undefined;
    const head = this.received.slice(0, end);
    const length = Number(/^content-length: (\d+)\r?$/im.exec(head)?.[1]);
    if (!(this.received.length >= end + 4 + length)) return undefined;
    this.received = this.received.slice(end + 4 + length);
    return {
      status: Number(head.split(' ')[1]),
      refusal: /^countersign-refusal: (\S+)\r?$/im.exec(head)?.[1],
    };
  }
}

/** Runs work over several connections at once, and closes them. */
export async function overConnections(
  port: number,
  count: number,
  work: (connection: KeptConnection) => Promise<void>,
): Promise<void> {
  const connections = await Promise.all(Array.from({ length: count }, () => KeptConnection.open(port)));
  try {
    await Promise.all(connections.map(work));
  } finally {
    for (const connection of connections) connection.close();
  }
}
