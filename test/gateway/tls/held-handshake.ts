/**
 * TLS handshakes that stand still half-way.
 * @module
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';

/** A way to the gateway on which the client's second flight, with its certificate, is held until it is released. */
export class HeldHandshake {
  readonly port: number;
  readonly held: Promise<void>;
  release = () => {};

  private constructor(relay: Server, to: number) {
    this.port = (relay.address() as AddressInfo).port;
    this.held = new Promise((resolve) => {
      relay.once('connection', (client) => {
        const server = connect(to, '127.0.0.1');
        server.pipe(client);
        client.once('data', (hello) => {
          server.write(hello);
          client.pause();
          server.once('data', () => resolve());
        });
        this.release = () => client.pipe(server);
        for (const each of [client, server]) {
          each.on('error', () => {});
          each.on('close', () => {
            client.destroy();
            server.destroy();
            relay.close();
          });
        }
      });
    });
  }

  static async to(port: number): Promise<HeldHandshake> {
    const relay = createServer().listen(0, '127.0.0.1');
    await once(relay, 'listening');
    return new HeldHandshake(relay, port);
  }
}
