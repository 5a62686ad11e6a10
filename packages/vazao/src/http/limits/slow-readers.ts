/**
 * Cuts clients off that don't read their answers: each holds its answer in memory and a socket open. What a connection has
 * left to send is looked at now and then; a client is slow when nothing of it was taken for longer than a stall may last,
 * plus the time that the rest takes at the least pace.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { ConnectionBounds } from './server-bounds.ts';

interface Progress {
  waitingBytes: number;
  since: number;
}

const SWEEPS_PER_STALL = 4;

export class SlowReaders {
  readonly #bounds: Pick<ConnectionBounds, 'readStallMs' | 'readMinBytesPerSecond'>;
  readonly #sockets = new Set<Socket>();
  readonly #progress = new WeakMap<Socket, Progress>();
  readonly #timer: NodeJS.Timeout;
  #cutOff = 0;

  constructor(server: Server, bounds: Pick<ConnectionBounds, 'readStallMs' | 'readMinBytesPerSecond'>) {
    this.#bounds = bounds;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#timer = setInterval(() => this.#sweep(), bounds.readStallMs / SWEEPS_PER_STALL).unref();
  }

  /** Connections that were cut off so far. */
  get cutOff(): number {
    return this.#cutOff;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #sweep(): void {
    const now = performance.now();
    const { readStallMs, readMinBytesPerSecond } = this.#bounds;
    for (const socket of this.#sockets) {
      const waitingBytes = socket.writableLength;
      if (waitingBytes === 0) {
        this.#progress.delete(socket);
        continue;
      }
      const before = this.#progress.get(socket);
      if (!before || waitingBytes !== before.waitingBytes) {
        this.#progress.set(socket, { waitingBytes, since: now });
        continue;
      }
      // A piece that was handed to the kernel counts as waiting until all of it is taken.
      if (now - before.since <= readStallMs + (waitingBytes / readMinBytesPerSecond) * 1_000) continue;
      this.#cutOff++;
      socket.destroy();
    }
  }
}
