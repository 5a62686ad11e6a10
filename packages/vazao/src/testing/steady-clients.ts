/**
 * Clients that keep asking one URL, some on connections that they keep and some with a connection for each request, and
 * account for every request. They do what RFC 9112 asks of a client: after `Connection: close`, and when a connection was
 * closed while nothing was asked on it, they open another; that is no failure. No request is tried again.
 */
import { connect, type Socket } from 'node:net';

export interface SteadyOptions {
  readonly port: number;
  /** The body of its answers is JSON with the `pid` of the worker. */
  readonly path: string;
  readonly kept: number;
  readonly fresh: number;
  /** From 0 up to so long between an answer and the next request. */
  readonly thinkMaxMs: number;
  readonly random: () => number;
}

export interface LostRequest {
  readonly why: string;
  /** Who answered before on its connection; undefined for the first request on one. */
  readonly pid: number | undefined;
  /** By `performance.now()`: when it was sent, or its connection was begun. */
  readonly sentAtMs: number;
  readonly lostAtMs: number;
}

export interface SteadyResult {
  readonly answered: number;
  /** Told to come back, by 429 or 503 with `Retry-After`. */
  readonly refused: number;
  readonly connections: number;
  /** Answers by each worker. */
  readonly byPid: ReadonlyMap<number, number>;
  readonly lost: readonly LostRequest[];
  readonly slowestMs: number;
}

export interface SteadyClients extends AsyncDisposable {
  readonly answered: number;
  /** Lets what is in flight finish. */
  stop(): Promise<SteadyResult>;
}

/** Longer than anything takes that is not lost. */
const ANSWER_TIMEOUT_MS = 30_000;

export function startSteadyClients(options: SteadyOptions): SteadyClients {
  const { port, path, random, thinkMaxMs } = options;
  const result = {
    answered: 0,
    refused: 0,
    connections: 0,
    byPid: new Map<number, number>(),
    lost: [] as LostRequest[],
    slowestMs: 0,
  };
  let isStopping = false;
  const run = async (isKept: boolean): Promise<void> => {
    const request = `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${isKept ? '' : 'Connection: close\r\n'}\r\n`;
    let connection: Connection | undefined;
    let pid: number | undefined;
    while (!isStopping) {
      const sentAtMs = performance.now();
      try {
        if (!connection || connection.isOver) {
          result.connections++;
          pid = undefined;
          connection = await Connection.open(port);
        }
        const { status, body, closes, isToRetry } = await connection.ask(request);
        if (isToRetry && (status === 429 || status === 503)) result.refused++;
        else if (status === 200) {
          pid = (JSON.parse(body) as { pid: number }).pid;
          result.byPid.set(pid, (result.byPid.get(pid) ?? 0) + 1);
          result.answered++;
          result.slowestMs = Math.max(result.slowestMs, performance.now() - sentAtMs);
        } else throw new Error(`status ${status}`);
        if (closes || !isKept) connection.end();
      } catch (error) {
        result.lost.push({ why: (error as Error).message, pid, sentAtMs, lostAtMs: performance.now() });
        connection?.end();
        connection = undefined;
      }
      await new Promise((resolve) => setTimeout(resolve, random() * thinkMaxMs));
    }
    connection?.end();
  };
  const all = Array.from({ length: options.kept + options.fresh }, (_, index) => run(index < options.kept));
  const stop = async (): Promise<SteadyResult> => {
    isStopping = true;
    await Promise.all(all);
    return result;
  };
  return {
    get answered() {
      return result.answered;
    },
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly closes: boolean;
  readonly isToRetry: boolean;
}

class Connection {
  readonly #socket: Socket;
  #received = '';
  #asked: PromiseWithResolvers<Answer> | undefined;
  #isOver = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true).setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy(new Error('no answer in time')));
    socket.on('data', (data) => {
      this.#received += data.toString('latin1');
      this.#read();
    });
    socket.on('end', () => this.#fail(new Error('the connection was closed')));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the connection was closed')));
  }

  static open(port: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('error', reject).once('connect', () => {
        socket.off('error', reject);
        resolve(new Connection(socket));
      });
    });
  }

  /** The other end has closed it, or we have. */
  get isOver(): boolean {
    return this.#isOver;
  }

  ask(request: string): Promise<Answer> {
    this.#asked = Promise.withResolvers();
    this.#received = '';
    this.#socket.write(request);
    return this.#asked.promise;
  }

  end(): void {
    this.#isOver = true;
    this.#socket.end();
  }

  #read(): void {
    const head = this.#received.indexOf('\r\n\r\n');
    if (head < 0) return;
    const fields = this.#received.slice(0, head);
    const length = Number(/^content-length: (\d+)$/im.exec(fields)?.[1] ?? 0);
    const body = this.#received.slice(head + 4);
    if (body.length < length) return;
    const closes = /^connection: close$/im.test(fields);
    const isToRetry = /^retry-after: \d+$/im.test(fields);
    this.#asked?.resolve({ status: Number(fields.slice(9, 12)), body, closes, isToRetry });
    this.#asked = undefined;
  }

  #fail(error: Error): void {
    this.#isOver = true;
    this.#asked?.reject(error);
    this.#asked = undefined;
  }
}
