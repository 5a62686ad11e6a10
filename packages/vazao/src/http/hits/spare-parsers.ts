/**
 * A connection on which nothing is asked needs no parser, and Node's takes more memory than all else of it: 7 KB of 9.4, beside V8's
 * heap (`bench/connection-memory.ts`). So it is taken from connections that wait, and given again with the next request that Node has to read.
 *
 * Node gives a connection away, and its parser back, in one case: a request of CONNECT (event `connect`). That is what the parser is told here, with
 * nobody but us to take the connection. Node's own listener for `connection` gives it another. While there is none we do what Node does:
 * end the connection when its time is over, when its client ends it, and when the server closes what is idle.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import http, { type Server } from 'node:http';
import type { Socket } from 'node:net';

/** A connection as its reader knows it. */
export interface Waiting {
  readonly socket: Socket;
  /** Whether nothing is asked, and nothing on its way. */
  readonly isWaiting: boolean;
  /** Node's listener for bytes. */
  readonly parse: ((chunk: Buffer) => void) | undefined;
  /** Its parser is gone. */
  onReleased(): void;
}

/** Who asks again and again keeps its parser: to exchange it took 40 µs. */
const WAITED_MIN_MS = 1_000;
const SWEEP_MS = 100;
/** So that a sweep takes 3 ms at most. */
const SWEEP_MAX = 128;
const HAND_OVER = Buffer.from('CONNECT vazao:1 HTTP/1.1\r\nHost: vazao:1\r\n\r\n');

type Listener = (socket: Socket) => void;
/** Not documented, and as old as Node: what its server listens to `connection` with. */
const { _connectionListener: accept } = http as unknown as { readonly _connectionListener?: Listener };

export class SpareParsers {
  readonly #server: Server;
  readonly #mayRelease: () => boolean;
  /** With the moment since which each waits, the longest first. */
  readonly #waiting = new Map<Waiting, number>();
  /** Connections without a parser. */
  readonly #released = new Set<Socket>();
  readonly #listeners: Listeners;
  /** So that the timer keeps, and passes on, nothing of the request in which it begins. */
  readonly #outside = AsyncLocalStorage.snapshot();
  #timer: NodeJS.Timeout | undefined;

  /** @param mayRelease - false: somebody watches what Node's server does */
  constructor(server: Server, mayRelease: () => boolean) {
    this.#server = server;
    this.#mayRelease = mayRelease;
    this.#listeners = createListeners(server, this.#released);
    const { closeIdleConnections, closeAllConnections } = server;
    server.closeIdleConnections = () => {
      // A hit that is on its way is nothing that Node knows of: it would take the connection for idle.
      for (const connection of this.#waiting.keys()) {
        if (connection.socket.writableLength > 0 && this.#canHandOver(connection)) this.#release(connection);
      }
      closeIdleConnections.call(server);
      // Once: each call would listen to `finish` anew.
      for (const socket of this.#released) if (socket.writable) socket.destroySoon();
    };
    server.closeAllConnections = () => {
      closeAllConnections.call(server);
      for (const socket of this.#released) socket.destroy();
    };
  }

  noteWaiting(connection: Waiting): void {
    this.#waiting.delete(connection);
    this.#waiting.set(connection, performance.now());
    this.#timer ??= this.#outside(() => setInterval(() => this.#sweep(), SWEEP_MS).unref());
  }

  noteBusy(connection: Waiting): void {
    this.#waiting.delete(connection);
  }

  /** Gives the connection a parser. @returns Node's listener for bytes, which is not on the socket */
  give(socket: Socket): (chunk: Buffer) => void {
    this.#released.delete(socket);
    const { timeout, error, end, close } = this.#listeners;
    socket.off('timeout', timeout).off('error', error).off('end', end).off('close', close);
    const before = new Set(socket.listeners('data'));
    const { timeout: timeoutMs = 0 } = socket;
    (accept as Listener).call(this.#server, socket);
    // As Node's `resetSocketTimeout` does with a request on a connection that was kept; without a time for that it leaves what is there.
    socket.setTimeout(this.#server.keepAliveTimeout > 0 ? this.#server.timeout || 0 : timeoutMs);
    const parse = socket.listeners('data').find((listener) => !before.has(listener)) as (chunk: Buffer) => void;
    socket.removeListener('data', parse);
    return parse;
  }

  #sweep(): void {
    const now = performance.now();
    let left = SWEEP_MAX;
    for (const [connection, since] of this.#waiting) {
      if (left === 0 || now - since < WAITED_MIN_MS) return;
      this.#waiting.delete(connection);
      // Of those that are closed there may come more in a second than are released.
      if (connection.socket.destroyed || connection.parse === undefined) continue;
      if (connection.isWaiting && this.#mayRelease() && this.#canHandOver(connection)) {
        left--;
        this.#release(connection);
      } else this.noteWaiting(connection);
    }
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #canHandOver({ socket, parse }: Waiting): boolean {
    const { maxHeaderSize, maxRequestsPerSocket } = this.#server as Server & { readonly maxHeaderSize?: number };
    return (
      parse !== undefined &&
      !socket.destroyed &&
      !socket.isPaused() &&
      accept !== undefined &&
      this.#server.listeners('connection').includes(accept) &&
      this.#server.listenerCount('connect') === 0 &&
      (maxHeaderSize ?? Number.POSITIVE_INFINITY) > HAND_OVER.length &&
      // Which the listener would begin to count anew.
      maxRequestsPerSocket === 0
    );
  }

  #release(connection: Waiting): void {
    const { socket, parse } = connection;
    const { timeout: timeoutMs = 0 } = socket;
    const take = (): void => {
      this.#released.add(socket);
      const { timeout, error, end, close } = this.#listeners;
      socket.on('timeout', timeout).on('error', error).on('end', end).on('close', close);
      connection.onReleased();
    };
    this.#server.once('connect', take);
    parse?.(HAND_OVER);
    this.#server.removeListener('connect', take);
    // To the parser it was a request, which ends the time for which a connection may wait.
    socket.setTimeout(timeoutMs);
    socket.resume();
  }
}

interface Listeners {
  readonly timeout: (this: Socket) => void;
  readonly error: (this: Socket, error: Error) => void;
  readonly end: (this: Socket) => void;
  readonly close: (this: Socket) => void;
}

/** What Node does for a connection that waits. The same functions for all connections: one of each for each would take memory, too. */
function createListeners(server: Server, released: Set<Socket>): Listeners {
  return {
    timeout() {
      if (!server.emit('timeout', this)) this.destroy();
    },
    error(error) {
      if (!server.emit('clientError', error, this)) this.destroy(error);
    },
    end() {
      this.end();
    },
    close() {
      released.delete(this);
    },
  };
}
