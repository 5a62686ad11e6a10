/**
 * Closes connections on which nothing is asked, and as few as can be on which something is just being asked: what a client
 * sends while its connection is being closed is lost to it, and HTTP/1.1 has no word for "I am about to".
 *
 * So a few at a time are closed, each time when the loop has just read all that had arrived. To close thousands in one step
 * takes tens of milliseconds, in which some of them speak.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

export class IdleConnections {
  readonly #server: Server;
  readonly #sockets: ReadonlySet<Socket>;
  /** What each had read when it was first seen to wait. */
  readonly #seen = new WeakMap<Socket, number>();

  constructor(server: Server, sockets: ReadonlySet<Socket>) {
    this.#server = server;
    this.#sockets = sockets;
  }

  /**
   * To be called after the loop has read, and for the first time well before one is to be closed: idle is on which nothing has come since
   * then. Once the server says `Connection: close`, what has come and was not a whole request is the beginning of one.
   *
   * @param share - of the idle ones, from 0 to 1, is closed
   */
  look(share: number): void {
    const idle: Socket[] = [];
    for (const socket of this.#sockets) {
      if (!this.#waits(socket)) continue;
      const before = this.#seen.get(socket);
      if (before === undefined) this.#seen.set(socket, socket.bytesRead);
      else if (before === socket.bytesRead) idle.push(socket);
    }
    for (const socket of idle.slice(0, Math.ceil(idle.length * share))) socket.destroy();
  }

  /** Between two requests a connection has the time-out of one that is kept (`resetSocketTimeout` of Node's `_http_server.js`), or nothing came yet. */
  #waits({ timeout = 0, bytesRead }: Socket): boolean {
    const { keepAliveTimeout } = this.#server;
    return bytesRead === 0 || (keepAliveTimeout > 0 && timeout >= keepAliveTimeout);
  }
}
