import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { countWorkers, readConfiguration } from './configuration.ts';
import { SHARES_PORT } from './listen.ts';
import { findNearest } from './nearest.ts';
import { VARIABLES } from './variables.ts';

const SECRET = 'x'.repeat(32);
const read = (variables: Record<string, string>) => readConfiguration('development', variables, '/project');

test('without any variable the defaults hold', () => {
  const { memoryLimitBytes, ...others } = read({});
  assert.ok(memoryLimitBytes > 0, 'as the machine has');
  assert.deepEqual(others, {
    environment: 'development',
    host: '127.0.0.1',
    port: 8080,
    databaseUrl: undefined,
    databaseReplicaUrls: [],
    databasePoolMax: 10,
    feedSource: 'auto',
    feedNotify: false,
    workers: SHARES_PORT ? 1 : 0,
    workerRequestsMax: 0,
    workerTimeoutMs: 60_000,
    dataFolder: '/project/.vazao',
    secret: undefined,
    isCacheOn: true,
    memory: undefined,
    cacheSizeMaxBytes: 256 * 1024 ** 2,
    cacheAuditOneIn: 10_000,
    metricsToken: undefined,
    redisUrl: undefined,
    release: undefined,
    limits: {
      isOn: true,
      inFlightMax: undefined,
      rates: { user: undefined, anonymous: undefined, address: undefined, login: undefined },
      streams: { streamsMax: undefined, perAddressMax: undefined, perUserMax: undefined },
      store: undefined,
      stateRedisUrl: undefined,
      trustProxy: [],
      bodyMaxBytes: 1024 ** 2,
      requestTimeoutMs: 30_000,
      answerTimeoutMs: 30_000,
      statementTimeoutMs: 30_000,
      transactionTimeoutMs: 60_000,
      idleTransactionTimeoutMs: 30_000,
      databaseWaitMs: 5_000,
    },
    logLevel: 'warn',
    debug: false,
  });
});

test('an empty variable counts as absent', () => {
  assert.deepEqual(read({ PORT: '', DATABASE_URL: ' ', VAZAO_SECRET: '' }), read({}));
});

test('values are read with their units', () => {
  const { cacheSizeMaxBytes, port, dataFolder, debug, logLevel } = read({
    CACHE_SIZE: '1.5GB',
    PORT: '0',
    VAZAO_DATA: '/var/lib/vazao',
    VAZAO_DEBUG: '1',
    LOG_LEVEL: 'trace',
  });
  assert.deepEqual(
    { cacheSizeMaxBytes, port, dataFolder, debug, logLevel },
    { cacheSizeMaxBytes: 1.5 * 1024 ** 3, port: 0, dataFolder: '/var/lib/vazao', debug: true, logLevel: 'trace' },
  );
});

test('replicas are named one after the other, each like the primary', () => {
  const DATABASE_URL = 'postgres://a/d';
  const urls = (text: string) => read({ DATABASE_URL, DATABASE_REPLICA_URLS: text }).databaseReplicaUrls;
  assert.deepEqual(urls('postgres://b/d, postgresql://u:p@c:5433/d\npostgres://e/d,'), [
    'postgres://b/d',
    'postgresql://u:p@c:5433/d',
    'postgres://e/d',
  ]);
  assert.throws(() => urls('postgres://b/d, mysql://u:geheim@c/d'), /^RuntimeError: DATABASE_REPLICA_URLS has a value/);
  assert.throws(() => read({ DATABASE_REPLICA_URLS: 'postgres://b/d' }), /name the primary/);
});

const REFUSED: readonly [variables: Record<string, string>, message: RegExp][] = [
  [{ PORT: '70000' }, /^PORT is "70000"; allowed is a whole number from 0 to 65535/],
  [{ PORT: '80a' }, /^PORT is "80a"/],
  [{ HOST: 'a b' }, /^HOST is "a b"; allowed is a host name/],
  [{ CACHE_SIZE: '12 apples' }, /^CACHE_SIZE is "12 apples"; allowed is a size from 1 MB/],
  [{ CACHE_SIZE: '12' }, /^CACHE_SIZE is "12"/],
  [{ DATABASE_POOL: '1' }, /^DATABASE_POOL is "1"; allowed is a whole number from 2/],
  [{ VAZAO_FEED: 'kafka' }, /^VAZAO_FEED is "kafka"; allowed is `auto`, `wal`, `outbox`, `app`, `stream` /],
  [{ VAZAO_FEED: 'stream' }, /^VAZAO_FEED is stream, which is read from Redis, and REDIS_URL is not set\./],
  [{ WORKERS: '-1' }, /^WORKERS is "-1"; allowed is a whole number from 0/],
  [{ WORKERS: '2' }, /^WORKERS is 2, but `vazao dev` serves in one process/],
  [{ LOG_LEVEL: 'loud' }, /^LOG_LEVEL is "loud"; allowed is `fatal`, `error`/],
  [{ VAZAO_DEBUG: 'yes' }, /^VAZAO_DEBUG is "yes"; allowed is `0` or `1`/],
  [{ VAZAO_DATTA: '/x' }, /^VAZAO_DATTA is set, but there is no such variable\. Did you mean VAZAO_DATA\?$/],
  [{ VAZAO_QUITE_ANOTHER: '1' }, /^VAZAO_QUITE_ANOTHER is set, but there is no such variable\.$/],
  [{ NODE_ENV: 'production' }, /^NODE_ENV is "production", but `vazao dev` is for development; use `vazao start`/],
];
for (const [variables, message] of REFUSED) {
  test(`refuses ${JSON.stringify(variables)}`, () => {
    assert.throws(() => read(variables), { code: 'ERR_RUNTIME_CONFIGURATION', message });
  });
}

test('limits are read with their units', () => {
  const { limits } = read({
    VAZAO_LIMIT_USER: '600/1m',
    VAZAO_LIMIT_LOGIN: 'off',
    VAZAO_LIVE_PER_ADDRESS: '6000',
    VAZAO_TRUST_PROXY: '10.0.0.0/8, ::1',
    BODY_MAX: '64 KB',
    DATABASE_STATEMENT_TIMEOUT: '0',
    ANSWER_TIMEOUT: '2s',
  });
  assert.deepEqual(limits.rates, {
    user: { requests: 600, window: '1m' },
    anonymous: undefined,
    address: undefined,
    login: false,
  });
  assert.deepEqual(limits.streams, { streamsMax: undefined, perAddressMax: 6_000, perUserMax: undefined });
  assert.throws(
    () => read({ VAZAO_LIVE_PER_USER: '0' }),
    /VAZAO_LIVE_PER_USER is "0"; allowed is a whole number from 1/,
  );
  assert.deepEqual(limits.trustProxy, ['10.0.0.0/8', '::1']);
  assert.deepEqual([limits.bodyMaxBytes, limits.statementTimeoutMs, limits.answerTimeoutMs], [65_536, 0, 2_000]);
  for (const rate of ['600', '0/1m', '1/10ms', '1/1y', '-1/1m'])
    assert.throws(() => read({ VAZAO_LIMIT_USER: rate }), /VAZAO_LIMIT_USER is .* such as `600\/1m`/);
});

test('never repeats a secret in a message', () => {
  for (const variables of [
    { DATABASE_URL: 'mysql://u:geheim@h/d' },
    { REDIS_URL: 'redis://u:geheim@h/x' },
    { VAZAO_SECRET: 'geheim' },
    { VAZAO_METRICS_TOKEN: 'geheim' },
  ]) {
    assert.throws(
      () => read(variables),
      ({ message }: Error) => /^\w+ has a value that is not allowed; /.test(message) && !message.includes('geheim'),
    );
  }
});

test('production needs a secret, and refuses what contradicts it', () => {
  const start = (variables: Record<string, string>) => readConfiguration('production', variables, '/project');
  assert.throws(() => start({}), /^RuntimeError: VAZAO_SECRET is not set, and production needs it/);
  assert.throws(() => start({ NODE_ENV: 'development', VAZAO_SECRET: SECRET }), /`vazao start` is for production/);
  assert.equal(start({ VAZAO_SECRET: SECRET, NODE_ENV: 'production' }).logLevel, 'info');
});

test('the workers of a start are counted without the rest of its configuration', () => {
  const started = readConfiguration('production', { VAZAO_SECRET: SECRET, MEMORY_LIMIT: '1GB' }, '/project');
  assert.equal(countWorkers({ MEMORY_LIMIT: '1GB' }), started.workers);
  assert.equal(countWorkers({ WORKERS: '1' }), 1);
  if (SHARES_PORT) assert.equal(countWorkers({ WORKERS: '37' }), 37);
});

test('docs/configuration.md says what the table says', () => {
  const document = readFileSync(new URL('../../../../docs/configuration.md', import.meta.url), 'utf8');
  const rows = VARIABLES.map(({ name, default: value, allowed, meaning }) => {
    const written = value === undefined ? '–' : value.includes('`') ? value : `\`${value}\``;
    return `| \`${name}\` | ${meaning} | ${written} | ${allowed} |`;
  });
  const unaligned = document.replaceAll(/ +\| +/g, ' | ').replaceAll(/ +\|$/gm, ' |');
  const found = unaligned.split('\n').filter((line) => /^\| `[A-Z_]+` /.test(line));
  assert.deepEqual(found, rows);
});

test('the nearest word is found, and only if it is near', () => {
  assert.equal(findNearest('dve', ['dev', 'start']), 'dev');
  assert.equal(findNearest('VAZAO_SECERT', ['VAZAO_SECRET', 'VAZAO_DATA']), 'VAZAO_SECRET');
  assert.equal(findNearest('banana', ['dev', 'start']), undefined);
});
