/**
 * A TLS server of `handshakes.ts`, in a process of its own so that its CPU time is that of handshakes alone. Its identity
 * comes as a message, and each further message is answered with the CPU time so far, in microseconds.
 * @module
 */
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import { type ServerIdentity, serverContext } from '../../src/gateway/tls/server-context.ts';

process.once('message', (identity) => {
  const server = createServer(serverContext({ identity: identity as ServerIdentity }), (socket) =>
    socket.end(),
  );
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  });
});
