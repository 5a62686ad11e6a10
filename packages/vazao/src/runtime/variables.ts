/** All variables: `docs/configuration.md` is compared with this table by a test. */
import { type Duration, parseDuration } from '../cache/duration.ts';
import { isRedisUrl } from '../cache/redis/redis-url.ts';
import type { FeedSource } from '../feed/index.ts';
import { LIMIT_VARIABLES } from './limit-variables.ts';
import { parseSize } from './size.ts';

export type LogLevel = (typeof LOG_LEVELS)[number];

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
const FEEDS = ['auto', 'wal', 'outbox', 'app', 'stream'] as const;
const SECRET_LENGTH_MIN = 32;

export interface Variable<T> {
  readonly name: string;
  /** What is used when the variable is absent or empty, as it would be written. */
  readonly default: string | undefined;
  /** What may be written, for people. */
  readonly allowed: string;
  readonly meaning: string;
  /** The value; undefined when it is not allowed. */
  readonly parse: (text: string) => T | undefined;
  /** True: never repeated in a message. */
  readonly isSecret?: boolean;
}

export const HOST: Variable<string> = {
  name: 'HOST',
  default: '127.0.0.1',
  allowed: 'a host name or an address; `0.0.0.0` or `::` for all addresses',
  meaning: 'Where the server listens.',
  parse: (text) => (/^[\w.:-]+$/.test(text) ? text : undefined),
};
export const PORT: Variable<number> = {
  name: 'PORT',
  default: '8080',
  allowed: 'a whole number from 0 to 65535; 0 takes any free port',
  meaning: 'The port the server listens on.',
  parse: (text) => parseWhole(text, 0, 65_535),
};
export const DATABASE_URL: Variable<string> = {
  name: 'DATABASE_URL',
  default: undefined,
  allowed: '`postgresql://user:password@host:port/database`',
  meaning: 'The PostgreSQL to use. Absent: an embedded one is started in the data folder.',
  parse: parseDatabaseUrl,
  isSecret: true,
};
export const DATABASE_REPLICA_URLS: Variable<readonly string[]> = {
  name: 'DATABASE_REPLICA_URLS',
  default: undefined,
  allowed: 'like `DATABASE_URL`, with commas or spaces between them; needs `DATABASE_URL`',
  meaning: 'Streaming replicas of that PostgreSQL, on which answers of cached routes are computed.',
  parse: (text) => {
    const urls = text.split(/[,\s]+/).filter((url) => url !== '');
    return urls.every((url) => parseDatabaseUrl(url) !== undefined) ? urls : undefined;
  },
  isSecret: true,
};
export const DATABASE_POOL: Variable<number> = {
  name: 'DATABASE_POOL',
  default: '10',
  allowed: 'a whole number from 2 to 1000',
  meaning:
    'The most connections the server opens for queries, all workers together; at least 2 each. The feed needs three more.',
  parse: (text) => parseWhole(text, 2, 1_000),
};
export const DATA: Variable<string> = {
  name: 'VAZAO_DATA',
  default: '.vazao',
  allowed: 'a folder',
  meaning: 'Where data live: one folder for each application, and the secret of development.',
  parse: (text) => text,
};
export const SECRET: Variable<string> = {
  name: 'VAZAO_SECRET',
  default: undefined,
  allowed: `at least ${SECRET_LENGTH_MIN} characters, the same on every server; \`openssl rand -base64 48\` makes one`,
  meaning: 'Signs tokens and cookies. Required in production; development makes its own and keeps it.',
  parse: (text) => (text.length >= SECRET_LENGTH_MIN ? text : undefined),
  isSecret: true,
};
export const FEED: Variable<FeedSource | 'auto'> = {
  name: 'VAZAO_FEED',
  default: 'auto',
  allowed: `${FEEDS.map((feed) => `\`${feed}\``).join(', ')} (which needs \`REDIS_URL\`)`,
  meaning:
    'How changes of the database become known: by its log, by triggers, only those of this server, or from another server by way of Redis. `auto` takes the strongest that the database allows.',
  parse: (text) => FEEDS.find((feed) => feed === text),
};
export const FEED_NOTIFY: Variable<boolean> = {
  name: 'VAZAO_FEED_NOTIFY',
  default: 'off',
  allowed: '`on` or `off`; the last server to start decides for all',
  meaning:
    'With the source `outbox`: writers call the feed by `NOTIFY`, so that it does not wait for the next look (0.1 s). PostgreSQL lets transactions that notify commit one after the other.',
  parse: (text) => ({ on: true, off: false })[text],
};
export const WORKERS: Variable<number> = {
  name: 'WORKERS',
  default:
    'for `vazao start` the cores, or as many as there is memory for; for `vazao dev` 1; 0 where it is not Linux with Node 26.4 or later',
  allowed:
    'a whole number from 0 to 256; more than 1 only for `vazao start`, on Linux with Node 26.4 or later, and 1 is 0 elsewhere',
  meaning: 'How many workers serve, each of which their supervisor replaces; 0: one process serves alone.',
  parse: (text) => parseWhole(text, 0, 256),
};
export const WORKER_REQUESTS_MAX: Variable<number> = {
  name: 'WORKER_REQUESTS_MAX',
  default: '0',
  allowed: 'a whole number from 100 to 999999999, or 0 for never; needs a worker',
  meaning:
    'After so many requests, or up to a fifth fewer, another worker takes the place of one, without losing a request.',
  parse: (text) => (text === '0' ? 0 : parseWhole(text, 100, 999_999_999)),
};
export const WORKER_TIMEOUT: Variable<number> = {
  name: 'WORKER_TIMEOUT',
  default: '60s',
  allowed: 'a time from `5s` to `24h`, or 0 for never',
  meaning: 'A worker whose event loop has stood still for so long is killed, and replaced.',
  parse: (text) => {
    const ms = text === '0' ? 0 : parseDuration(text as Duration);
    return ms === 0 || (ms !== undefined && ms >= 5_000 && ms <= 86_400_000) ? ms : undefined;
  },
};
export const CACHE: Variable<boolean> = {
  name: 'VAZAO_CACHE',
  default: 'on',
  allowed: '`on` or `off`',
  meaning: 'Whether answers are cached. `off` is for comparisons: every answer is computed.',
  parse: (text) => ({ on: true, off: false })[text],
};
export const MEMORY_LIMIT: Variable<number> = {
  name: 'MEMORY_LIMIT',
  default: 'what the container allows, else half of the memory of the machine',
  allowed:
    'a size with `B`, `KB`, `MB` or `GB` (of 1024); at least 176 MB for one process, 280 MB for one worker, and 96 MB for each more',
  meaning: 'The memory that the processes of `vazao start` may take together, without an embedded PostgreSQL.',
  parse: parseSize,
};
export const CACHE_SIZE: Variable<number> = {
  name: 'CACHE_SIZE',
  default: '256 MB, or less as `MEMORY_LIMIT` has room for',
  allowed: 'a size from 1 MB, with `B`, `KB`, `MB` or `GB` (of 1024)',
  meaning: 'The memory that cached answers may take, all workers together.',
  parse: (text) => {
    const bytes = parseSize(text);
    return bytes !== undefined && bytes >= 1024 ** 2 ? bytes : undefined;
  },
};
export const REDIS_URL: Variable<string> = {
  name: 'REDIS_URL',
  default: undefined,
  allowed:
    '`redis://user:password@host:port/database`, `rediss://…` (TLS), `redis-sentinel://host:port,host:port/master`, `redis-cluster://host:port,host:port`',
  meaning: 'The Redis (7 or later) that processes and hosts share answers by. Absent: each process has its own alone.',
  parse: (text) => (isRedisUrl(text) ? text : undefined),
  isSecret: true,
};
export const RELEASE: Variable<string> = {
  name: 'VAZAO_RELEASE',
  default: "a hash of the application's folder (without `node_modules`) and of the lock file above it",
  allowed: 'a text that differs for each release, such as the commit',
  meaning: 'Answers of one release are not given by another that uses the same Redis.',
  parse: (text) => (text.length <= 200 ? text : undefined),
};
export const CACHE_AUDIT: Variable<number> = {
  name: 'CACHE_AUDIT',
  default: '10000',
  allowed: 'a whole number from 0 to 1000000000; 0 computes none again',
  meaning:
    'One hit in so many is computed again and compared; a difference is logged and shown by `/health`. At most 1 % of the time of one connection is spent on it.',
  parse: (text) => parseWhole(text, 0, 1_000_000_000),
};
export const METRICS_TOKEN: Variable<string> = {
  name: 'VAZAO_METRICS_TOKEN',
  default: undefined,
  allowed: 'at least 16 characters of ASCII, without spaces; `openssl rand -hex 24` makes one',
  meaning:
    'Who sends it (`Authorization: Bearer …`) may read `/metrics` (docs/metrics.md). Absent: who asks from this machine, and not through a proxy.',
  parse: (text) => (/^[!-~]{16,}$/.test(text) ? text : undefined),
  isSecret: true,
};
export const LOG_LEVEL: Variable<LogLevel> = {
  name: 'LOG_LEVEL',
  default: '`info` in production, `warn` in development',
  allowed: LOG_LEVELS.map((level) => `\`${level}\``).join(', '),
  meaning: 'From which weight on log lines are written.',
  parse: (text) => LOG_LEVELS.find((level) => level === text),
};
export const NODE_ENV: Variable<string> = {
  name: 'NODE_ENV',
  default: '`development` for `vazao dev`, `production` for `vazao start`',
  allowed: '`development` or `test` for `vazao dev`, `production` for `vazao start`',
  meaning: 'The command decides; a value that contradicts it is refused.',
  parse: (text) => text,
};
export const DEBUG: Variable<boolean> = {
  name: 'VAZAO_DEBUG',
  default: '0',
  allowed: '`0` or `1`',
  meaning: 'Adds the stack and the causes to the sentence of a failure.',
  parse: (text) => ({ '0': false, false: false, '1': true, true: true })[text],
};
export const TEST_SERVER: Variable<string> = {
  name: 'VAZAO_TEST_SERVER',
  default: undefined,
  allowed: 'a connection string',
  meaning: "For the platform's own tests: the PostgreSQL that a whole test run shares.",
  parse: (text) => text,
  isSecret: true,
};
export const TEST_PG_BIN: Variable<string> = {
  name: 'VAZAO_TEST_PG_BIN',
  default: 'the highest version in `/usr/lib/postgresql/`',
  allowed: 'a folder',
  meaning: 'For `vazao torture` and the tests: the folder of the server programs of PostgreSQL.',
  parse: (text) => text,
};
export const TEST_REDIS: Variable<string> = {
  name: 'VAZAO_TEST_REDIS',
  default: '`redis-server`',
  allowed: 'a program; its `-cli` is beside it',
  meaning: 'For `vazao torture` and the tests: which server of Redis they start, `valkey-server` for example.',
  parse: (text) => text,
};

/** All variables, in the order in which they are documented. */
export const VARIABLES: readonly Omit<Variable<unknown>, 'parse'>[] = [
  HOST,
  PORT,
  DATABASE_URL,
  DATABASE_REPLICA_URLS,
  DATABASE_POOL,
  FEED,
  FEED_NOTIFY,
  WORKERS,
  WORKER_REQUESTS_MAX,
  WORKER_TIMEOUT,
  MEMORY_LIMIT,
  CACHE,
  CACHE_SIZE,
  CACHE_AUDIT,
  REDIS_URL,
  ...LIMIT_VARIABLES,
  METRICS_TOKEN,
  LOG_LEVEL,
  NODE_ENV,
  DATA,
  SECRET,
  RELEASE,
  DEBUG,
  TEST_SERVER,
  TEST_PG_BIN,
  TEST_REDIS,
];

function parseDatabaseUrl(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url && /^postgres(ql)?:$/.test(url.protocol) && url.pathname.length > 1 ? text : undefined;
}

function parseWhole(text: string, min: number, max: number): number | undefined {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : undefined;
}
