import net from 'node:net';
import type { FastifyInstance } from 'fastify';
import { acceptMore, LISTENERS } from './accept-more.ts';
import type { Configuration } from './configuration.ts';
import { describeError, errorCode, RuntimeError } from './errors.ts';

type Address = Pick<Configuration, 'host' | 'port'>;

/** Fails before anything has been started when the address can't be had. Throws {@link RuntimeError}. */
export async function assertPortFree({ host, port }: Address): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const probe = net.createServer();
  probe.once('error', (error) => reject(toListenError(error, { host, port })));
  probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve()));
  await promise;
}

/**
 * Whether several processes can serve on one port here: they inherit a socket that is bound and does not listen yet, which
 * Node has from 26.4 on. Only Linux is tested.
 */
export const SHARES_PORT: boolean = process.platform === 'linux' && net.BoundSocket !== undefined;

/** As many as the system allows (`net.core.somaxconn`): all connections of a host may wait in one queue. */
const BACKLOG = 4_096;

/**
 * Listens; returns the URL to try, which for "all addresses" is that of this machine to itself.
 * @param address - `fds`: of one socket that is already bound to it
 */
export async function listen(
  app: FastifyInstance,
  { host, port, fds = [] }: Address & { readonly fds: readonly number[] | undefined },
): Promise<{ readonly url: string }> {
  const [fd, ...more] = fds;
  // Of a socket of its own there are no more descriptors: the kernel shares connections out among sockets instead.
  const reusePort = fd === undefined && process.platform === 'linux';
  try {
    if (fd !== undefined) passBacklog(app.server);
    // Fastify hands the options on to Node, though its types don't know them. With a name it would listen on more addresses.
    const options = fd === undefined ? { host, port, reusePort } : { host: '127.0.0.1', fd };
    await app.listen({ ...options, backlog: BACKLOG });
    const own = app.server.address();
    const others =
      reusePort && typeof own === 'object' && own
        ? Array.from({ length: LISTENERS - 1 }, () => ({ host: own.address, port: own.port, reusePort }))
        : more.map((fd) => ({ fd }));
    await acceptMore(app.server, others, BACKLOG);
  } catch (error) {
    throw toListenError(error, { host, port });
  }
  const address = app.server.address();
  const bound = typeof address === 'object' && address ? address.port : port;
  return { url: urlOf(host, bound) };
}

/** With a descriptor Node takes the backlog from its second argument alone, which Fastify does not pass: it would be 511. */
function passBacklog(server: net.Server): void {
  const { listen: listenOn } = server;
  server.listen = (...words: unknown[]) => Reflect.apply(listenOn, server, [words[0], BACKLOG]);
}

/** The URL at which a server that listens on this address is reached from the same machine. */
export function urlOf(host: string, port: number): string {
  const reachable = { '0.0.0.0': '127.0.0.1', '::': '[::1]' }[host] ?? (host.includes(':') ? `[${host}]` : host);
  return `http://${reachable}:${port}`;
}

/** What a failure to listen means, in one sentence. */
export function toListenError(error: unknown, { host, port }: Address): RuntimeError {
  const sentences: Record<string, string> = {
    EADDRINUSE: `Port ${port} on ${host} is taken by another program. Stop that one, or set PORT to another, such as PORT=${port < 65_535 ? port + 1 : 8080}.`,
    EACCES: `Port ${port} on ${host} may not be used by this user. Set PORT to one above 1023, such as PORT=8080.`,
    EADDRNOTAVAIL: `HOST is ${host}, which is no address of this machine. Set HOST to one that is, such as HOST=127.0.0.1.`,
    ENOTFOUND: `HOST is ${host}, and there is no such name. Set HOST to an address of this machine, such as HOST=127.0.0.1.`,
  };
  const sentence = sentences[errorCode(error) ?? ''] ?? `Can't listen on ${host}:${port}: ${describeError(error)}.`;
  return new RuntimeError('ERR_RUNTIME_PORT', sentence, { cause: error });
}
