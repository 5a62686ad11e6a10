/**
 * Node takes one connection from the queue in each turn of its loop (libuv, pull request 3696, "don't accept() connections in a loop").
 * Under overload a turn takes some 20 ms: 50 connections a second get in, and the others wait for seconds, to be answered when their
 * clients are gone. So a server listens several times, and each time takes a connection.
 */
import net from 'node:net';

/** So many connections are taken in a turn of the loop. */
export const LISTENERS = 8;

/** What Node keeps of connections and their server; public only in parts. */
interface CountingServer extends net.Server {
  _connections: number;
}
interface ServedSocket extends net.Socket {
  server: net.Server;
  _server: net.Server;
}

/** A descriptor of a socket that is bound, or an address that several may listen on. */
export type Place = { readonly fd: number } | Pick<net.ListenOptions, 'host' | 'port' | 'reusePort'>;

const others = new WeakMap<net.Server, readonly net.Server[]>();

/** @param places - what else to listen on; connections that come there are the server's, like those of its own */
export async function acceptMore(server: net.Server, places: readonly Place[], backlog: number): Promise<void> {
  const listeners = places.map(() => net.createServer({ allowHalfOpen: true, noDelay: true }));
  others.set(server, listeners);
  const close = server.close.bind(server);
  server.close = (callback) => {
    for (const listener of listeners) listener.close();
    return close(callback);
  };
  for (const [at, listener] of listeners.entries()) {
    listener.on('connection', (socket) =>
      adopt(server as CountingServer, listener as CountingServer, socket as ServedSocket),
    );
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject).once('listening', resolve);
      // With a descriptor, Node takes the backlog from the second argument alone; otherwise from there, too.
      listener.listen(places[at], backlog as unknown as () => void);
    });
    listener.removeAllListeners('error').on('error', (error) => server.emit('error', error));
  }
}

/** Takes no more connections; those that are there stay. */
export function stopListening(server: net.Server): void {
  // Of a server of HTTP its own `close` would close connections, too.
  for (const one of [server, ...(others.get(server) ?? [])]) if (one.listening) net.Server.prototype.close.call(one);
}

/** As Node does with what a server accepts itself (lib/net.js, onconnection). */
function adopt(server: CountingServer, listener: CountingServer, socket: ServedSocket): void {
  if (server.maxConnections !== undefined && server._connections >= server.maxConnections) {
    socket.destroy();
    return;
  }
  listener._connections--;
  server._connections++;
  socket.server = server;
  socket._server = server;
  server.emit('connection', socket);
}
