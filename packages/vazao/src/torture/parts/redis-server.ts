/**
 * A real Redis, or Valkey where `VAZAO_TEST_REDIS` says so, in a temporary folder, on a port of its own that it keeps. It saves
 * nothing by itself: what a restart brings back is what {@link RedisServer.save} wrote last, which may be old.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PartError } from './errors.ts';
import { findFreePort } from './free-port.ts';
import { type ServerProcess, startServerProcess } from './server-process.ts';

const START_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 10_000;
const COMMAND_TIMEOUT_MS = 10_000;
const execute = promisify(execFile);

/** The server's program, and that of its command line beside it. */
function findPrograms(): { server: string; client: string } {
  const server = process.env.VAZAO_TEST_REDIS?.trim() || 'redis-server';
  return { server, client: server.replace(/-server$/, '-cli') };
}

/** What Redis drops when it is full; `noeviction` refuses writes instead. */
export type EvictionPolicy = 'noeviction' | 'allkeys-lru' | 'allkeys-lfu' | 'allkeys-random' | 'volatile-ttl';

export interface RedisOptions {
  /** @defaultValue no limit */
  readonly memoryMaxBytes?: number | undefined;
  /** @defaultValue 'noeviction' */
  readonly policy?: EvictionPolicy | undefined;
  /** Letters and digits. @defaultValue none is asked for */
  readonly password?: string | undefined;
  /** Further lines of `redis.conf`. */
  readonly settings?: readonly string[] | undefined;
}

/** Starts a Redis; close it with `close()` or `await using`. Throws {@link PartError}. */
export async function startRedisServer(options: RedisOptions = {}): Promise<RedisServer> {
  return launchRedis(options, 'server');
}

/** A sentinel is the same program, which writes to its own `redis.conf`. */
export async function launchRedis(options: RedisOptions, mode: 'server' | 'sentinel'): Promise<RedisServer> {
  if (options.password !== undefined && !/^[A-Za-z0-9]+$/.test(options.password)) {
    throw new PartError('ERR_PART_OPTION', 'The password may have letters and digits only.');
  }
  const folder = await mkdtemp(join(tmpdir(), 'vazao-redis-'));
  const server = new RedisServer(folder, await findFreePort(), options, mode);
  try {
    await server.start();
    return server;
  } catch (error) {
    await server.close();
    throw error;
  }
}

export class RedisServer implements AsyncDisposable {
  /** On 127.0.0.1; the same after each start. */
  readonly port: number;
  readonly #folder: string;
  readonly #options: RedisOptions;
  readonly #mode: 'server' | 'sentinel';
  #server: ServerProcess | undefined;

  /** Use {@link startRedisServer}. */
  constructor(folder: string, port: number, options: RedisOptions, mode: 'server' | 'sentinel') {
    this.#folder = folder;
    this.port = port;
    this.#options = options;
    this.#mode = mode;
  }

  /** With the password, if there is one. */
  get url(): string {
    const { password } = this.#options;
    return `redis://${password === undefined ? '' : `:${password}@`}127.0.0.1:${this.port}`;
  }

  get isRunning(): boolean {
    return this.#server?.isRunning === true;
  }

  get pid(): number | undefined {
    return this.isRunning ? this.#server?.pid : undefined;
  }

  /** What was saved last is loaded. Throws {@link PartError}. */
  async start(): Promise<void> {
    if (this.isRunning) return;
    const file = join(this.#folder, 'redis.conf');
    await writeFile(file, this.#describeSettings(), { mode: 0o600 });
    this.#server = await startServerProcess(
      {
        name: `Redis (${this.#mode})`,
        command: findPrograms().server,
        words: this.#mode === 'sentinel' ? [file, '--sentinel'] : [file],
        account: undefined,
        folder: this.#folder,
        logFile: join(this.#folder, 'redis.log'),
      },
      () =>
        this.command('ping').then(
          (answer) => answer === 'PONG', // and not LOADING
          () => false,
        ),
      START_TIMEOUT_MS,
    );
  }

  /** Runs a command by `redis-cli`, and resolves to its answer as text. Throws {@link PartError} with an error that Redis gives. */
  async command(...words: readonly string[]): Promise<string> {
    return runRedisCli(['-p', String(this.port), ...words], this.#options.password);
  }

  /** Ends at once, as a crash does: what was not saved is lost. */
  async kill(): Promise<void> {
    await this.#server?.kill();
  }

  /** A crash and a start on the same port. Empty, or with what was saved last. */
  async restart(options: { readonly empty: boolean }): Promise<void> {
    await this.kill();
    if (options.empty) await rm(join(this.#folder, 'dump.rdb'), { force: true });
    await this.start();
  }

  /** Writes all data to the disk; the next start loads it. */
  async save(): Promise<void> {
    await this.command('save');
  }

  /** It stays connected and answers nothing until {@link resume}. */
  pause(): void {
    this.#server?.signal('SIGSTOP');
  }

  resume(): void {
    this.#server?.signal('SIGCONT');
  }

  /** Removes all keys. */
  async flush(): Promise<void> {
    await this.command('flushall');
  }

  /** Ends in order: clients are disconnected, nothing is saved. */
  async stop(): Promise<void> {
    this.resume();
    this.#server?.signal('SIGTERM');
    await this.#server?.ended(STOP_TIMEOUT_MS);
  }

  async close(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #describeSettings(): string {
    const { memoryMaxBytes, policy, password, settings = [] } = this.#options;
    const store = [
      'save ""',
      'appendonly no',
      `maxmemory ${memoryMaxBytes ?? 0}`,
      `maxmemory-policy ${policy ?? 'noeviction'}`,
    ];
    const lines = [
      'bind 127.0.0.1',
      `port ${this.port}`,
      `dir ${this.#folder}`,
      'daemonize no',
      ...(this.#mode === 'server' ? store : []),
      ...(password === undefined ? [] : [`requirepass ${password}`]),
      ...(password === undefined || this.#mode === 'sentinel' ? [] : [`masterauth ${password}`]),
      ...settings,
    ];
    return `${lines.join('\n')}\n`;
  }
}

/** Throws {@link PartError} when Redis refuses the command, or does not answer. */
export async function runRedisCli(words: readonly string[], password?: string): Promise<string> {
  const { server, client } = findPrograms();
  const env = { PATH: process.env.PATH, LC_ALL: 'C', ...(password === undefined ? {} : { REDISCLI_AUTH: password }) };
  try {
    // -e: an error is the exit code, and no answer that looks like any other.
    const { stdout } = await execute(client, ['-e', ...words], { env, timeout: COMMAND_TIMEOUT_MS });
    return stdout.trim();
  } catch (cause) {
    const { code, stdout = '', stderr = '' } = cause as { code?: unknown; stdout?: string; stderr?: string };
    if (code === 'ENOENT') {
      const remedy = `Install Debian's package \`${server === 'redis-server' ? 'redis-server' : 'valkey-tools'}\`.`;
      throw new PartError('ERR_PART_MISSING', `There is no ${client} here. ${remedy}`, { cause });
    }
    throw new PartError(
      'ERR_PART_PROGRAM',
      `${client} ${words.join(' ')}: ${`${stdout}${stderr}`.trim() || 'no answer in time'}`,
      { cause },
    );
  }
}
