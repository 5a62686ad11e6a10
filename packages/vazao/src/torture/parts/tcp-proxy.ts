/** A TCP proxy that makes the faults of networks: connections that break, hang, or are slow; and an address that fails over. */
import { createServer, connect as dial, type Server, type Socket } from 'node:net';

export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** The same connection string, by way of the proxy. */
  through(url: string): string;
  /** Breaks connections, and refuses new ones until {@link resume}. */
  cut(which?: Which): void;
  /** Breaks connections once; new ones are accepted. */
  drop(which?: Which): void;
  /** Connections stay open and carry nothing, in neither direction, until {@link resume}. */
  pause(which?: Which): void;
  /** Ends cut, pause and delay. What was held up arrives. */
  resume(): void;
  /** Everything takes so much longer, in each direction. */
  delay(delayMs: number): void;
  /** New connections go to the host and port of this connection string; open ones stay where they are ({@link drop} ends them). */
  pointTo(targetUrl: string): void;
  /** Open connections. */
  readonly count: number;
}

/** Chunks, of at most 64 kB each, that a connection holds up; with more it stops reading, as a full network does. */
const HELD_CHUNKS_MAX = 256;

/** Chooses connections by the first bytes that the client sent: PostgreSQL's start-up packet, with its parameters. */
export type Which = (startup: string) => boolean;

/**
 * Starts a proxy to the host and port of a connection string. The server hears of a connection with its first bytes, which in
 * PostgreSQL's, Redis's and HTTP's protocols are the client's: one that is refused costs it nothing, as with a network that is
 * cut. PostgreSQL starts a process for each.
 */
export async function startTcpProxy(targetUrl: string): Promise<TcpProxy> {
  let target = new URL(targetUrl);
  const links = new Set<Link>();
  const state: ProxyState = { refused: undefined, paused: undefined, delayMs: 0 };
  const server = createServer((client) => {
    const open = (): Socket => dial({ host: target.hostname, port: Number(target.port || 5432) });
    const link = new Link(client, open, state, () => links.delete(link));
    links.add(link);
  });
  await listen(server);
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The proxy has no port.');
  const everyone: Which = () => true;
  const drop = (which: Which): void => {
    for (const link of links) if (which(link.startup)) link.destroy();
  };
  return {
    port: address.port,
    through(url) {
      const proxied = new URL(url);
      proxied.host = `127.0.0.1:${address.port}`;
      return proxied.href;
    },
    cut(which = everyone) {
      state.refused = which;
      drop(which);
    },
    drop: (which = everyone) => drop(which),
    pause(which = everyone) {
      state.paused = which;
    },
    resume() {
      state.refused = undefined;
      state.paused = undefined;
      state.delayMs = 0;
      for (const link of links) link.flush();
    },
    delay(delayMs) {
      state.delayMs = delayMs;
    },
    pointTo(targetUrl) {
      target = new URL(targetUrl);
    },
    get count() {
      return links.size;
    },
    async [Symbol.asyncDispose]() {
      drop(everyone);
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface ProxyState {
  refused: Which | undefined;
  paused: Which | undefined;
  delayMs: number;
}

class Link {
  startup = '';
  readonly #client: Socket;
  readonly #open: () => Socket;
  readonly #state: ProxyState;
  readonly #closed: () => void;
  /** In the order in which it came, also when the delay changes meanwhile. */
  readonly #held: { readonly step: () => void; readonly dueAt: number }[] = [];
  #upstream: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(client: Socket, open: () => Socket, state: ProxyState, closed: () => void) {
    this.#client = client;
    this.#open = open;
    this.#state = state;
    this.#closed = closed;
    this.#watch(client);
    client.on('data', (chunk) => {
      this.startup ||= chunk.toString('latin1');
      if (state.refused?.(this.startup)) this.destroy();
      else this.#pass(() => this.#dialled().write(chunk));
    });
    client.on('end', () => this.#pass(() => this.#dialled().end()));
  }

  destroy(): void {
    clearTimeout(this.#timer);
    this.#held.length = 0;
    for (const socket of this.#sockets()) socket.destroy();
  }

  #dialled(): Socket {
    if (this.#upstream) return this.#upstream;
    const upstream = this.#open();
    this.#upstream = upstream;
    this.#watch(upstream);
    upstream.on('data', (chunk) => this.#pass(() => this.#client.write(chunk)));
    upstream.on('end', () => this.#pass(() => this.#client.end()));
    return upstream;
  }

  #watch(socket: Socket): void {
    socket.setNoDelay(true);
    socket.on('error', () => this.destroy());
    socket.on('close', () => {
      this.destroy();
      this.#closed();
    });
  }

  #sockets(): readonly Socket[] {
    return this.#upstream ? [this.#client, this.#upstream] : [this.#client];
  }

  flush(): void {
    this.#release(Number.POSITIVE_INFINITY);
  }

  #pass(step: () => void): void {
    const { delayMs } = this.#state;
    if (delayMs === 0 && this.#held.length === 0 && !this.#isPaused()) {
      step();
      return;
    }
    this.#held.push({ step, dueAt: performance.now() + delayMs });
    if (this.#held.length >= HELD_CHUNKS_MAX) for (const socket of this.#sockets()) socket.pause();
    this.#schedule();
  }

  #schedule(): void {
    const [next] = this.#held;
    if (!next || this.#timer || this.#isPaused()) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        if (!this.#isPaused()) this.#release(performance.now());
      },
      Math.max(0, next.dueAt - performance.now()),
    );
  }

  #release(now: number): void {
    while (this.#held[0] && this.#held[0].dueAt <= now) this.#held.shift()?.step();
    if (this.#held.length < HELD_CHUNKS_MAX) for (const socket of this.#sockets()) socket.resume();
    this.#schedule();
  }

  #isPaused(): boolean {
    return this.#state.paused?.(this.startup) === true;
  }
}

function listen(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
}
