/**
 * The connection to Redis: one, to a single server, to the master that sentinels name, or to a cluster.
 *
 * No command waits for a connection (no offline queue) and none is sent twice: whoever asked does without. The client
 * connects again by itself, for ever, with a bounded back-off.
 */
import { loadPeer } from '../../peer/index.ts';
import { RedisTierError } from './errors.ts';
import { type FunctionName, LIBRARY } from './functions.ts';
import { parseRedisUrl } from './redis-url.ts';

export interface ConnectionOptions {
  /**
   * `redis://[user:password@]host:port[/database]`, `rediss://…` for TLS,
   * `redis-sentinel://[user:password@]host:port,host:port/name-of-the-master`,
   * `redis-cluster://[user:password@]host:port,host:port`.
   */
  readonly url: string;
  /** A call that takes longer has failed. */
  readonly callTimeoutMs: number;
  /** A connection that brings nothing for so long, though it should, is given up for a new one. @defaultValue 5 s */
  readonly silenceMs?: number | undefined;
  readonly onProblem?: ((error: Error) => void) | undefined;
}

/** What is used of the package; its own types would be asked for of everybody who uses ours. */
interface Client {
  readonly status: string;
  on(event: 'error', listener: (error: Error) => void): unknown;
  call(command: string, ...args: Argument[]): Promise<unknown>;
  callBuffer(command: string, ...args: Argument[]): Promise<unknown>;
  disconnect(): void;
  /** Of a cluster alone. */
  nodes?(role: 'master'): Client[];
}

interface Library {
  readonly Redis: new (options: object) => Client;
  readonly Cluster: new (nodes: readonly object[], options: object) => Client;
}

export interface StreamEntry {
  readonly id: string;
  /** Names and values by turns. */
  readonly fields: readonly Buffer[];
}

export type Argument = string | Buffer | number;

const RECONNECT_MIN_MS = 50;
const RECONNECT_MAX_MS = 1_000;
const CONNECT_TIMEOUT_MS = 2_000;
/** The host of a Redis that lost its power says nothing, and TCP by itself would believe in it for a quarter of an hour. */
const SILENCE_MS = 5_000;
const RELOAD_PAUSE_MS = 100;

/** Opens a connection, which may not be there yet; close it with `close()`. Throws {@link RedisTierError}, or a `PeerError`. */
export async function openConnection(options: ConnectionOptions): Promise<Connection> {
  const client = await loadPeer<Library>('ioredis', 'The second tier');
  return new Connection(client, options);
}

export class Connection {
  readonly #client: Client;
  #loading: Promise<void> | undefined;
  #loadedAtMs = Number.NEGATIVE_INFINITY;

  /** Use {@link openConnection}. */
  constructor(client: Library, options: ConnectionOptions) {
    this.#client = createClient(client, options);
    this.#client.on('error', (error: Error) => options.onProblem?.(error));
  }

  /** Calls are sent; else they fail at once. */
  get isReady(): boolean {
    return this.#client.status === 'ready';
  }

  /** Calls a function of {@link LIBRARY}, which is loaded when Redis has lost it. Rejects when Redis does not answer in time. */
  async call(name: FunctionName, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    try {
      return await this.#send(name, keys, args);
    } catch (error) {
      if (!/Function not found/i.test((error as Error).message)) throw error;
    }
    await this.#load();
    return this.#send(name, keys, args);
  }

  /** What stands in a stream after an entry, oldest first; waits for some, and resolves to none if there is none by then. */
  async readStream(
    key: string,
    { after, countMax, waitMs }: { readonly after: string; readonly countMax: number; readonly waitMs: number },
  ): Promise<readonly StreamEntry[]> {
    const words = ['COUNT', countMax, 'BLOCK', waitMs, 'STREAMS', key, after];
    const reply = (await this.#client.callBuffer('XREAD', ...words)) as readonly unknown[] | null;
    // A list of pairs by the older protocol of Redis, one list of keys and values by turns by the newer.
    const [, entries = []] = (Array.isArray(reply?.[0]) ? reply[0] : (reply ?? [])) as [Buffer?, [Buffer, Buffer[]][]?];
    return entries.map(([id, fields]) => ({ id: id.toString(), fields }));
  }

  /** Sections of `INFO`, of any node of a cluster. */
  async info(): Promise<string> {
    return String(await this.#client.call('INFO'));
  }

  close(): void {
    this.#client.disconnect();
  }

  async #send(name: FunctionName, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    return this.#client.callBuffer('FCALL', LIBRARY.nameOf(name), keys.length, ...keys, ...args);
  }

  /** Once for all who miss it. Every master of a cluster gets it: a slot may move. */
  async #load(): Promise<void> {
    if (performance.now() - this.#loadedAtMs < RELOAD_PAUSE_MS) return;
    this.#loading ??= this.#loadNow().finally(() => {
      this.#loading = undefined;
      this.#loadedAtMs = performance.now();
    });
    await this.#loading;
  }

  async #loadNow(): Promise<void> {
    const nodes = this.#client.nodes?.('master') ?? [this.#client];
    await Promise.all(nodes.map((node) => node.call('FUNCTION', 'LOAD', 'REPLACE', LIBRARY.source)));
  }
}

function createClient(client: Library, { url, callTimeoutMs, silenceMs = SILENCE_MS }: ConnectionOptions): Client {
  const address = parseRedisUrl(url);
  if (!address) {
    throw new RedisTierError(
      'ERR_REDIS_OPTIONS',
      'The address of Redis is none; allowed is `redis://user:password@host:port/database`, `rediss://…`, `redis-sentinel://host:port,host:port/master` and `redis-cluster://host:port,host:port`.',
    );
  }
  const { kind, username, password, hosts, path } = address;
  const retry = (attempt: number): number => Math.min(RECONNECT_MIN_MS * 2 ** Math.min(attempt, 10), RECONNECT_MAX_MS);
  const options = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    disableClientInfo: true, // it takes a right, and tells nothing
    commandTimeout: callTimeoutMs,
    socketTimeout: silenceMs,
    connectTimeout: CONNECT_TIMEOUT_MS,
    keepAlive: 5_000,
    // A master that became a replica: ask again where the master is.
    reconnectOnError: (error: Error): boolean => /^(READONLY|MASTERDOWN)/.test(error.message),
    retryStrategy: retry,
  };
  switch (kind) {
    case 'redis-cluster':
      return new client.Cluster(hosts, {
        enableOfflineQueue: false,
        clusterRetryStrategy: retry,
        redisOptions: options,
        // A slot that has moved is asked for where it is now; more would be waiting.
        maxRedirections: 2,
        retryDelayOnFailover: 20,
        retryDelayOnClusterDown: 20,
        slotsRefreshTimeout: 1_000,
      });
    case 'redis-sentinel':
      return new client.Redis({
        ...options,
        sentinels: [...hosts],
        name: path as string,
        sentinelRetryStrategy: retry,
        ...(password === undefined ? {} : { sentinelPassword: password }),
      });
    default:
      return new client.Redis({
        ...options,
        host: hosts[0]?.host as string,
        port: hosts[0]?.port as number,
        db: Number(path ?? 0),
        ...(kind === 'rediss' ? { tls: {} } : {}),
      });
  }
}
