/**
 * Everything that torture needs, real and on this machine: a PostgreSQL primary with a replica and a synchronous standby, a
 * proxy as the primary's address, Redis, for the second host by way of a proxy, and the hosts.
 *
 *   readers, writers ──► host A, host B (each `vazao start` with its workers)
 *                         │  │      │  │
 *                         │  │  proxy  │
 *                         │  └─► Redis │
 *                         └─────► proxy ──► primary ──► replica
 *                                              └──────► synchronous standby, which takes over
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type FeedSource, setReplicaIdentityFull } from '../feed/index.ts';
import type { Application } from '../runtime/application.ts';
import { migrate } from '../runtime/migrate.ts';
import { listPlainTables } from '../runtime/tables.ts';
import { VARIABLES } from '../runtime/variables.ts';
import { TortureError } from './errors.ts';
import { Host } from './host.ts';
import { findFreePort } from './parts/free-port.ts';
import { type PostgresCluster, startCluster } from './parts/postgres-cluster.ts';
import { type RedisServer, startRedisServer } from './parts/redis-server.ts';
import type { Profile } from './profile.ts';
import { startThreadedProxy, type ThreadedProxy } from './threaded-proxy.ts';

export const REPLICA = 'replica';
const STANDBY = 'standby';
const HOST_NAMES = ['host A', 'host B'];
const WORKERS_PER_HOST = 2;

export interface StageOptions {
  readonly application: Application;
  readonly profile: Profile;
  /** The word by which `vazao start` finds the application. */
  readonly word: string;
  readonly cwd: string;
  /** The module of the command line. */
  readonly main: string;
  /** The source of the feed of the second host. @defaultValue that of the first */
  readonly secondFeed?: FeedSource | undefined;
  readonly onProgress: (label: string) => void;
}

export interface Stage extends AsyncDisposable {
  readonly cluster: PostgresCluster;
  readonly proxy: ThreadedProxy;
  readonly redis: RedisServer;
  /** The address of Redis for the last host, which can lose its way to it while the other one has it. */
  readonly redisProxy: ThreadedProxy;
  readonly hosts: readonly Host[];
  /** Of the servers, for tokens of users. */
  readonly secret: string;
  /** Through the proxy: always that of the current primary. */
  readonly databaseUrl: string;
  readonly databaseName: string;
  /** Folder of the logs of the hosts. */
  readonly folder: string;
  /** The logs of the hosts stay when all else goes. */
  keepLogs(): void;
  /** Ends the hosts, and makes the database and Redis as they were at first. */
  reset(): Promise<void>;
  /** The servers understand this environment variable. */
  knows(variable: string): boolean;
}

/** Starts all but the hosts' processes. Throws {@link TortureError} or `PartError`. */
export async function openStage(options: StageOptions): Promise<Stage> {
  const { application, profile, onProgress } = options;
  await using acquired = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'vazao-torture-'));
  let keepsLogs = false;
  acquired.defer(async () => {
    if (!keepsLogs) await rm(folder, { recursive: true, force: true });
  });
  onProgress('starting PostgreSQL: a primary, a replica and a synchronous standby');
  const cluster = acquired.use(
    await startCluster({
      standbys: [{ name: REPLICA }, { name: STANDBY, synchronous: true }],
      // The standby has applied a commit, and not only received it, when it is acknowledged: so a slow one can be made.
      settings: { synchronous_commit: 'remote_apply', max_connections: '300' },
    }),
  );
  onProgress('starting Redis');
  const redis = acquired.use(await startRedisServer({ memoryMaxBytes: 256 * 1024 ** 2, policy: 'allkeys-lru' }));
  const proxy = acquired.use(await startThreadedProxy(cluster.primary.url));
  const redisProxy = acquired.use(await startThreadedProxy(redis.url));
  const databaseName = application.name;
  onProgress('preparing the data');
  await prepareDatabase(cluster, databaseName, application, profile);

  const secret = randomBytes(32).toString('hex');
  const databaseUrl = throughPort(cluster.primary.urlOf(databaseName), proxy.port);
  const environment = {
    PATH: process.env.PATH ?? '',
    HOST: '127.0.0.1',
    LOG_LEVEL: 'warn',
    DATABASE_URL: databaseUrl,
    DATABASE_REPLICA_URLS: cluster.node(REPLICA).urlOf(databaseName),
    REDIS_URL: redis.url,
    WORKERS: String(WORKERS_PER_HOST),
    VAZAO_SECRET: secret,
    // Everybody is served, however slow: a refusal would be one more way to be right.
    VAZAO_LIMIT_IN_FLIGHT: '10000',
    // A host that was killed starts three processes; what they compile is the same each time.
    NODE_COMPILE_CACHE: join(folder, 'compiled'),
    ...profile.environment,
  };
  const hosts: Host[] = [];
  for (const [index, name] of HOST_NAMES.entries()) {
    const feed = index > 0 && options.secondFeed !== undefined ? { VAZAO_FEED: options.secondFeed } : {};
    const tier = index > 0 ? { REDIS_URL: throughPort(redis.url, redisProxy.port) } : {};
    const host = new Host({
      name,
      port: await findFreePort(),
      command: [options.main],
      application: options.word,
      cwd: options.cwd,
      environment: { ...environment, ...feed, ...tier, VAZAO_DATA: join(folder, name.replace(' ', '-')) },
      logFile: join(folder, `${name.replace(' ', '-')}.log`),
    });
    acquired.defer(() => host.destroy());
    hosts.push(host);
  }
  const release = acquired.move();
  return {
    cluster,
    proxy,
    redis,
    redisProxy,
    hosts,
    secret,
    databaseUrl,
    databaseName,
    folder,
    keepLogs() {
      keepsLogs = true;
    },
    async reset() {
      await Promise.all(hosts.map((host) => host.destroy()));
      await redis.flush();
      await cluster.primary.query(`drop database ${pg.escapeIdentifier(databaseName)} with (force)`);
      await prepareDatabase(cluster, databaseName, application, profile);
    },
    knows: (variable) => VARIABLES.some(({ name }) => name === variable),
    [Symbol.asyncDispose]: () => release.disposeAsync(),
  };
}

/** As `vazao start` would, and then the profile's rows. */
async function prepareDatabase(
  cluster: PostgresCluster,
  name: string,
  application: Application,
  profile: Profile,
): Promise<void> {
  await cluster.primary.query(`create database ${pg.escapeIdentifier(name)}`);
  const client = new pg.Client(cluster.primary.urlOf(name));
  await client.connect();
  try {
    await migrate({
      client,
      folder: application.migrations,
      onProgress: () => {},
      signal: new AbortController().signal,
    });
    await setReplicaIdentityFull(client, await listPlainTables(client));
    await client.query('begin');
    await profile.prepare(client);
    await client.query('commit');
    await client.query('analyze');
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new TortureError('ERR_TORTURE_PROFILE', `The profile could not prepare the database: ${message}`, { cause });
  } finally {
    await client.end();
  }
}

function throughPort(url: string, port: number): string {
  const changed = new URL(url);
  changed.host = `127.0.0.1:${port}`;
  return changed.href;
}
