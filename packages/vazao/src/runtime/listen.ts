import { createServer } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Configuration } from './configuration.ts';
import { describeError, errorCode, RuntimeError } from './errors.ts';

type Address = Pick<Configuration, 'host' | 'port'>;

/** Fails before anything has been started when the address can't be had. Throws {@link RuntimeError}. */
export async function assertPortFree({ host, port }: Address): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const probe = createServer();
  probe.once('error', (error) => reject(toListenError(error, { host, port })));
  probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve()));
  await promise;
}

/**
 * Whether the kernel shares the connections to one port out among several processes (SO_REUSEPORT). Elsewhere it lets them
 * listen and gives all to one, or refuses; handing connections around, as node:cluster does, would be the way there.
 */
export const BALANCES_PORT: boolean = process.platform === 'linux';

/**
 * Listens; returns the URL to try, which for "all addresses" is that of this machine to itself.
 * @param address - `sharesPort`: other processes of this user may listen on it, too
 */
export async function listen(
  app: FastifyInstance,
  { host, port, sharesPort }: Address & { readonly sharesPort: boolean },
): Promise<{ readonly url: string; readonly port: number }> {
  try {
    // Fastify hands the option on to Node, though its types don't know it.
    const options = { host, port, reusePort: sharesPort };
    await app.listen(options);
  } catch (error) {
    throw toListenError(error, { host, port });
  }
  const address = app.server.address();
  const bound = typeof address === 'object' && address ? address.port : port;
  return { url: urlOf(host, bound), port: bound };
}

/** The URL at which a server that listens on this address is reached from the same machine. */
export function urlOf(host: string, port: number): string {
  const reachable = { '0.0.0.0': '127.0.0.1', '::': '[::1]' }[host] ?? (host.includes(':') ? `[${host}]` : host);
  return `http://${reachable}:${port}`;
}

function toListenError(error: unknown, { host, port }: Address): RuntimeError {
  const sentences: Record<string, string> = {
    EADDRINUSE: `Port ${port} on ${host} is taken by another program. Stop that one, or set PORT to another, such as PORT=${port < 65_535 ? port + 1 : 8080}.`,
    EACCES: `Port ${port} on ${host} may not be used by this user. Set PORT to one above 1023, such as PORT=8080.`,
    EADDRNOTAVAIL: `HOST is ${host}, which is no address of this machine. Set HOST to one that is, such as HOST=127.0.0.1.`,
    ENOTFOUND: `HOST is ${host}, and there is no such name. Set HOST to an address of this machine, such as HOST=127.0.0.1.`,
  };
  const sentence = sentences[errorCode(error) ?? ''] ?? `Can't listen on ${host}:${port}: ${describeError(error)}.`;
  return new RuntimeError('ERR_RUNTIME_PORT', sentence, { cause: error });
}
