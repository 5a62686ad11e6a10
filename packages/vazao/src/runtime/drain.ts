/**
 * How a process stops serving without losing a request:
 *
 *   1. Plugins are told (`preClose`): live streams end, with word to connect again.
 *   2. It takes no more connections. Those in the queue of a shared socket are another's.
 *   3. What is in flight is finished. Whatever is asked on a connection that was kept is answered, with `Connection: close`.
 *   4. A connection on which nothing is asked stays open a while (the lingering): to close it at once would cut off the
 *      request that its client is just sending. Then it is closed, each with few others (`idle-connections.ts`).
 *   5. What is still in flight at the end of the time for it is cut off.
 */
import { once } from 'node:events';
import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setImmediate as afterReading } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { stopListening } from './accept-more.ts';
import type { Configuration } from './configuration.ts';
import { IdleConnections } from './idle-connections.ts';
import { RELEASE_TIMEOUT_MS, within } from './release.ts';

/** How long requests in flight may go on once a process ends. */
const DRAIN_MS = { development: 700, production: 10_000 } as const;
/** How long connections may stay open on which nothing is asked: when another worker serves on, and when none does. */
const LINGER_MS = {
  replacement: { development: 200, production: 5_000 },
  end: { development: 0, production: 2_000 },
} as const;
/** Of that time the last part, in which such connections are closed. */
const CLOSING_SHARE = 0.5;
/** How often connections are looked for that nothing is asked on any more. */
const LOOK_MS = 50;

export function drainMs({ environment }: Pick<Configuration, 'environment'>): number {
  return DRAIN_MS[environment];
}

export function lingerMs({ environment }: Pick<Configuration, 'environment'>, why: 'replacement' | 'end'): number {
  return LINGER_MS[why][environment];
}

export class Drain {
  /** May be set until {@link close} is called. */
  lingerMs: number;
  readonly drainMs: number;
  readonly #sockets = new Set<Socket>();
  #app: FastifyInstance | undefined;
  #isLeaving = false;
  #isLingering = false;

  constructor(configuration: Pick<Configuration, 'environment'>) {
    this.lingerMs = lingerMs(configuration, 'end');
    this.drainMs = drainMs(configuration);
  }

  /** Requests that were answered so far. */
  get requests(): number {
    const { hit = [], miss = [], other = [] } = this.#app?.answered ?? {};
    return [...hit, ...miss, ...other].reduce((sum, count) => sum + count, 0);
  }

  /** To be called last of all that registers hooks. */
  prepare(app: FastifyInstance): void {
    app.addHook('preClose', () => this.#linger(app.server));
  }

  watch(app: FastifyInstance): void {
    this.#app = app;
    const { server } = app;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  async close(app: FastifyInstance): Promise<void> {
    const { server } = app;
    const cutOff = setTimeout(() => server.closeAllConnections(), this.lingerMs + this.drainMs);
    const look = setInterval(() => {
      if (this.#isLeaving && !this.#isLingering) server.closeIdleConnections();
    }, LOOK_MS);
    try {
      await within(this.lingerMs + this.drainMs + RELEASE_TIMEOUT_MS, app.close());
    } finally {
      clearTimeout(cutOff);
      clearInterval(look);
    }
  }

  async #linger(server: Server): Promise<void> {
    this.#isLeaving = true;
    server.prependListener('request', (_request, response: ServerResponse) => {
      response.shouldKeepAlive = false;
    });
    if (!server.listening) return;
    this.#isLingering = true;
    const closed = once(server, 'close');
    stopListening(server);
    const idle = new IdleConnections(server, this.#sockets);
    const closingLooks = Math.ceil((this.lingerMs * CLOSING_SHARE) / LOOK_MS);
    for (let left = Math.ceil(this.lingerMs / LOOK_MS); left > 0 && this.#sockets.size > 0; left--) {
      await within(LOOK_MS, closed);
      await afterReading();
      idle.look(left > closingLooks ? 0 : 1 / left);
    }
    this.#isLingering = false;
    // Node takes a connection on which nothing was ever asked for busy.
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy();
  }
}
