/** The part of the configuration that says what clients, and statements, may take. */
import { type Duration, parseDuration } from '../cache/index.ts';
import { isRedisUrl } from '../cache/redis/redis-url.ts';
import { parseRate, type Rate } from '../http/index.ts';
import { parseSize } from './size.ts';
import type { Variable } from './variables.ts';

const STORES = ['memory', 'postgres', 'redis'] as const;

export interface LimitConfiguration {
  /** False: nothing is limited but what Node and PostgreSQL limit. */
  readonly isOn: boolean;
  /** Of one process. Undefined: what follows from its pool. */
  readonly inFlightMax: number | undefined;
  readonly rates: Readonly<Record<'user' | 'anonymous' | 'address' | 'login', Rate | false | undefined>>;
  /** Of streams of events, for each worker; undefined: the application's, or the default. */
  readonly streams: Readonly<Record<'streamsMax' | 'perAddressMax' | 'perUserMax', number | undefined>>;
  readonly store: (typeof STORES)[number] | undefined;
  /** Of a Redis that evicts nothing. */
  readonly stateRedisUrl: string | undefined;
  readonly trustProxy: readonly string[];
  readonly bodyMaxBytes: number;
  readonly requestTimeoutMs: number;
  readonly answerTimeoutMs: number;
  readonly statementTimeoutMs: number;
  readonly transactionTimeoutMs: number;
  readonly idleTransactionTimeoutMs: number;
  readonly databaseWaitMs: number;
}

const LIMITS: Variable<boolean> = {
  name: 'VAZAO_LIMITS',
  default: 'on',
  allowed: '`on` or `off`',
  meaning: 'Whether requests are admitted, counted and bounded (docs/limits.md).',
  parse: (text) => ({ on: true, off: false })[text],
};
const IN_FLIGHT: Variable<number> = {
  name: 'VAZAO_LIMIT_IN_FLIGHT',
  default: 'one and a half times the connections of the pool, at least 6 for each worker',
  allowed: 'a whole number from 4 to 10000',
  meaning: 'How many requests all workers together work on at the same time. Hits take no place.',
  parse: (text) => parseWhole(text, 4, 10_000),
};
const USER: Variable<Rate | false> = rateVariable(
  'VAZAO_LIMIT_USER',
  'off',
  'How often one user may ask, over all routes.',
);
const ANONYMOUS: Variable<Rate | false> = rateVariable(
  'VAZAO_LIMIT_ANONYMOUS',
  'off',
  'How often those who are not known may ask, from one address.',
);
const ADDRESS: Variable<Rate | false> = rateVariable(
  'VAZAO_LIMIT_ADDRESS',
  'off',
  'The outer fence: how often one address may ask, whoever it is, hits among it.',
);
const LOGIN: Variable<Rate | false> = rateVariable(
  'VAZAO_LIMIT_LOGIN',
  '30/1m',
  'How often one address may try to log in (routes of the class `login`).',
);
const STREAMS: Variable<number> = streamsVariable('VAZAO_LIVE_STREAMS', '20000', 'How many there may be.');
const STREAMS_ADDRESS: Variable<number> = streamsVariable(
  'VAZAO_LIVE_PER_ADDRESS',
  '256',
  'How many one address (or /64 of IPv6) may have.',
);
const STREAMS_USER: Variable<number> = streamsVariable('VAZAO_LIVE_PER_USER', '16', 'How many one user may have.');
const STORE: Variable<(typeof STORES)[number]> = {
  name: 'VAZAO_LIMIT_STORE',
  default: '`redis` with `VAZAO_STATE_REDIS_URL`, else `memory`',
  allowed: STORES.map((store) => `\`${store}\``).join(', '),
  meaning: 'Where the counts are: in the memory of the supervisor (one host), or where several hosts share them.',
  parse: (text) => STORES.find((store) => store === text),
};
const STATE_REDIS_URL: Variable<string> = {
  name: 'VAZAO_STATE_REDIS_URL',
  default: undefined,
  allowed: '`redis://user:password@host:port/database` or `rediss://…` (TLS)',
  meaning:
    'A Redis that evicts nothing (`noeviction`), for counts and sessions, which must not be lost as cached answers may.',
  parse: (text) => (isRedisUrl(text) && /^rediss?:/.test(text) ? text : undefined),
  isSecret: true,
};
const TRUST_PROXY: Variable<readonly string[]> = {
  name: 'VAZAO_TRUST_PROXY',
  default: undefined,
  allowed: 'addresses and networks such as `10.0.0.0/8`, with commas or spaces between them',
  meaning:
    'The proxies in front, whose `Forwarded` or `X-Forwarded-For` is believed, for limits, `request.ip` and the log. Absent: nobody’s is.',
  parse: (text) => text.split(/[,\s]+/).filter((part) => part !== ''),
};
const BODY_MAX: Variable<number> = {
  name: 'BODY_MAX',
  default: '1 MB',
  allowed: 'a size from 1 KB to 1 GB, with `B`, `KB`, `MB` or `GB` (of 1024)',
  meaning: 'The largest body of a request, for routes that have no `bodyLimit` of their own.',
  parse: (text) => {
    const bytes = parseSize(text);
    return bytes !== undefined && bytes >= 1024 && bytes <= 1024 ** 3 ? bytes : undefined;
  },
};
const REQUEST_TIMEOUT = timeVariable('REQUEST_TIMEOUT', '30s', 'How long a request may take to arrive; then 408.');
const ANSWER_TIMEOUT = timeVariable('ANSWER_TIMEOUT', '30s', 'How long an answer may take; then 503.');
const STATEMENT_TIMEOUT = timeVariable('DATABASE_STATEMENT_TIMEOUT', '30s', 'How long a statement may take.');
const TRANSACTION_TIMEOUT = timeVariable(
  'DATABASE_TRANSACTION_TIMEOUT',
  '60s',
  'How long a transaction may take; from PostgreSQL 17 on.',
);
const IDLE_TRANSACTION_TIMEOUT = timeVariable(
  'DATABASE_IDLE_TIMEOUT',
  '30s',
  'How long a transaction may stand open without a statement.',
);
const DATABASE_WAIT = timeVariable('DATABASE_WAIT', '5s', 'How long to wait for a connection of the pool; then 503.');

/** In the order in which they are documented. */
export const LIMIT_VARIABLES: readonly Variable<unknown>[] = [
  LIMITS,
  IN_FLIGHT,
  USER,
  ANONYMOUS,
  ADDRESS,
  LOGIN,
  STREAMS,
  STREAMS_ADDRESS,
  STREAMS_USER,
  STORE,
  STATE_REDIS_URL,
  TRUST_PROXY,
  BODY_MAX,
  REQUEST_TIMEOUT,
  ANSWER_TIMEOUT,
  STATEMENT_TIMEOUT,
  TRANSACTION_TIMEOUT,
  IDLE_TRANSACTION_TIMEOUT,
  DATABASE_WAIT,
];

export function readLimits(read: <T>(variable: Variable<T>) => T | undefined): LimitConfiguration {
  return {
    isOn: read(LIMITS) ?? true,
    inFlightMax: read(IN_FLIGHT),
    rates: { user: read(USER), anonymous: read(ANONYMOUS), address: read(ADDRESS), login: read(LOGIN) },
    streams: { streamsMax: read(STREAMS), perAddressMax: read(STREAMS_ADDRESS), perUserMax: read(STREAMS_USER) },
    store: read(STORE),
    stateRedisUrl: read(STATE_REDIS_URL),
    trustProxy: read(TRUST_PROXY) ?? [],
    bodyMaxBytes: read(BODY_MAX) ?? 1024 ** 2,
    requestTimeoutMs: read(REQUEST_TIMEOUT) ?? 30_000,
    answerTimeoutMs: read(ANSWER_TIMEOUT) ?? 30_000,
    statementTimeoutMs: read(STATEMENT_TIMEOUT) ?? 30_000,
    transactionTimeoutMs: read(TRANSACTION_TIMEOUT) ?? 60_000,
    idleTransactionTimeoutMs: read(IDLE_TRANSACTION_TIMEOUT) ?? 30_000,
    databaseWaitMs: read(DATABASE_WAIT) ?? 5_000,
  };
}

function rateVariable(name: string, fallback: string, meaning: string): Variable<Rate | false> {
  return {
    name,
    default: fallback,
    allowed: 'a number of requests and a time from `1s` to `30d`, such as `600/1m`; or `off`',
    meaning,
    parse: (text) => (text === 'off' ? false : parseRate(text)),
  };
}

function streamsVariable(name: string, fallback: string, meaning: string): Variable<number> {
  return {
    name,
    default: fallback,
    allowed: 'a whole number from 1 to 1000000',
    meaning: `Streams of events (docs/live.md), for each worker: ${meaning}`,
    parse: (text) => parseWhole(text, 1, 1_000_000),
  };
}

function timeVariable(name: string, fallback: string, meaning: string): Variable<number> {
  return {
    name,
    default: fallback,
    allowed: 'a time from `100ms` to `24h`, or 0 for no bound',
    meaning,
    parse: (text) => {
      const ms = text === '0' ? 0 : parseDuration(text as Duration);
      return ms === 0 || (ms !== undefined && ms >= 100 && ms <= 86_400_000) ? ms : undefined;
    },
  };
}

function parseWhole(text: string, min: number, max: number): number | undefined {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : undefined;
}
