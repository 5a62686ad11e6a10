/**
 * The socket of a host. The supervisor binds it and never accepts from it; each worker inherits it, and takes connections
 * from the one queue when it has time for them.
 *
 * - What the kernel has put into the queue belongs to nobody yet: a worker that leaves, or is killed, resets none of it.
 *   With a socket for each worker (SO_REUSEPORT) the queue of one that closes is reset.
 * - A worker that hangs takes no more connections, where the kernel's hash would go on giving it its part.
 * - Few connections are spread as well as many (`bench/balance.ts`, with figures in bench/RESULTS.md).
 */
import { lookup } from 'node:dns/promises';
import net from 'node:net';
import type { Configuration } from '../configuration.ts';
import { toListenError } from '../listen.ts';

type Address = Pick<Configuration, 'host' | 'port'>;

export class ListeningSocket implements Disposable {
  /** As numbers. */
  readonly #address: string;
  readonly #port: number;
  #bound: net.BoundSocket;
  #isOpen = true;

  private constructor(address: string, bound: net.BoundSocket) {
    this.#address = address;
    this.#bound = bound;
    this.#port = bound.address().port;
  }

  /** Throws {@link RuntimeError} when the address can't be had. */
  static async bind({ host, port }: Address): Promise<ListeningSocket> {
    try {
      const { address } = await lookup(host, { order: 'ipv4first' });
      return new ListeningSocket(address, new net.BoundSocket({ host: address, port }));
    } catch (error) {
      throw toListenError(error, { host, port });
    }
  }

  get port(): number {
    return this.#port;
  }

  /** For the `stdio` of a child process. Opens it again if it was closed; throws when the port was taken meanwhile. */
  fd(): number {
    if (!this.#isOpen) this.#bound = new net.BoundSocket({ host: this.#address, port: this.#port });
    this.#isOpen = true;
    return this.#bound.fd();
  }

  /** Workers that have inherited it go on listening; when none has, connections are refused. */
  close(): void {
    if (this.#isOpen) this.#bound.close();
    this.#isOpen = false;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
