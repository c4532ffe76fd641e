/** Loaded before a program: whatever would leave the process throws, and a handshake between two streams does not. */
import dgram from 'node:dgram';
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import tls from 'node:tls';

function refuse() {
  throw new Error('there is no network here');
}

net.Socket.prototype.connect = refuse;
net.Server.prototype.listen = refuse;
dgram.createSocket = refuse;
for (const module of [dns, dns.promises]) {
  for (const name of ['lookup', 'resolve', 'resolve4', 'resolve6', 'reverse']) module[name] = refuse;
}
const { connect } = tls;
tls.connect = (options, ...rest) => (options?.socket ? connect(options, ...rest) : refuse());
globalThis.fetch = refuse;
syncBuiltinESMExports();
