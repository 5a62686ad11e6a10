/** The second tier of a server: each process that serves has a client of it, and each host a relay. */
import type { Relay, SecondTier } from '../cache/redis/index.ts';
import { Pool, type PoolCache, PostgresLeaderLock } from '../db/index.ts';
import { createStreamedFeed, type FanOut, type Feed, PUBLICATION_DEFAULT } from '../feed/index.ts';
import { type CacheValue, valueCodec } from '../http/index.ts';
import { PeerError } from '../peer/index.ts';
import type { Application } from './application.ts';
import { findCodeVersion } from './code-version.ts';
import type { Configuration } from './configuration.ts';
import { connectDatabase } from './database.ts';
import { toDatabaseError } from './database-errors.ts';
import { RuntimeError } from './errors.ts';
import { RELEASE_TIMEOUT_MS, within } from './release.ts';
import { readVersion } from './version.ts';

const NO_CACHE: PoolCache = {
  setLineage: () => {},
  isFresh: () => false,
  noteUntold: () => {},
  findUntoldBy: () => {},
};
const REPORT_PAUSE_MS = 60_000;
/** All hosts may be starting, and the one that writes the stream is no faster. */
const STREAM_TIMEOUT_MS = 60_000;

interface SecondTierParts {
  readonly configuration: Configuration;
  readonly application: Application;
  readonly feed: Feed;
  readonly db: Pool;
  readonly secret: string;
}

/** Of a process that serves; undefined without `REDIS_URL`. Throws {@link RuntimeError}; not for a Redis that is away. */
export async function openSecondTier(
  { configuration, application, feed, db, secret }: SecondTierParts,
  acquired: AsyncDisposableStack,
): Promise<SecondTier<CacheValue> | undefined> {
  const { redisUrl: url, release } = configuration;
  if (url === undefined) return undefined;
  const { createSecondTier, namespaceOf } = await load();
  const tier = await explained(async () =>
    createSecondTier<CacheValue>({
      url,
      namespace: namespaceOf(await identify(db, feed)),
      schemaHash: () => db.schema?.hash,
      codeVersion: findCodeVersion(release, application),
      codec: valueCodec,
      feed,
      secret,
      onProblem: createReporter('is left out where it fails'),
    }),
  );
  acquired.defer(() => tier.close());
  return tier;
}

interface RelayParts {
  readonly configuration: Configuration;
  readonly feed: Feed;
  readonly fanOut: FanOut;
  readonly secret: string;
  /** Of the primary itself. */
  readonly databaseUrl: string;
}

/**
 * Of a host with `REDIS_URL` and a feed of its own that sees all writers: the relay, and what writes the stream for hosts without a feed of their own.
 * Keeps two connections to the database. Throws {@link RuntimeError}.
 */
export async function openRelay(
  { configuration, feed, fanOut, secret, databaseUrl }: RelayParts,
  acquired: AsyncDisposableStack,
): Promise<Relay | undefined> {
  const { redisUrl: url } = configuration;
  // A feed that sees its own server alone has nothing for others; whoever holds the lock should.
  if (url === undefined || ['app', 'stream'].includes(feed.status().source)) return undefined;
  // Reads the schema, and again when it changes; nothing is cached here.
  const schema = new Pool({
    connectionString: databaseUrl,
    max: 1,
    application_name: 'vazao relay',
    cache: NO_CACHE,
    feed,
  });
  schema.on('error', () => {}); // an idle connection was lost: the pool opens another when it needs one
  acquired.defer(() => within(RELEASE_TIMEOUT_MS, schema.end()));
  await schema.prepare();
  const { createRelay, createStreamWriter, namespaceOf } = await load();
  const namespace = namespaceOf(await identify(schema, feed));
  const relay = await explained(() =>
    createRelay({
      url,
      namespace,
      feed,
      lock: new PostgresLeaderLock({ connectionString: databaseUrl, name: namespace }),
      findTable: (oid) => schema.schema?.findTable(oid),
      findSchemaPosition: () => schema.schema?.position,
      onProblem: createReporter('is not told of changes meanwhile, and gives no answers that they may concern'),
    }),
  );
  acquired.defer(() => within(RELEASE_TIMEOUT_MS * 2, relay.close()));
  const writer = await createStreamWriter({
    url,
    namespace,
    secret,
    fanOut,
    findTerm: () => relay.status.term,
    onProblem: createReporter('takes nothing for hosts that read the feed from it'),
  });
  acquired.defer(() => within(RELEASE_TIMEOUT_MS, writer.close()));
  return relay;
}

interface StreamParts {
  readonly configuration: Configuration;
  readonly secret: string;
  /** Of the primary itself. */
  readonly databaseUrl: string;
}

/** The feed of a host that reads another's by way of Redis; it is not started. Throws {@link RuntimeError}. */
export async function openStreamedFeed(
  { configuration, secret, databaseUrl }: StreamParts,
  acquired: AsyncDisposableStack,
): Promise<Feed> {
  const url = configuration.redisUrl as string;
  const { createStreamReader, namespaceOf } = await load();
  const client = await connectDatabase(databaseUrl).catch((error) => {
    throw toDatabaseError(error, databaseUrl);
  });
  let systemId: string;
  let namespace: string;
  try {
    const { rows } = await client.query<{ systemId: string; oid: string }>(`
      select system_identifier::text as "systemId",
        (select oid::int8::text from pg_database where datname = current_database()) as oid
      from pg_control_system()`);
    const row = rows[0] as (typeof rows)[number];
    systemId = row.systemId;
    const [databaseOid, publication, version] = [Number(row.oid), PUBLICATION_DEFAULT, readVersion()];
    namespace = namespaceOf({ systemId, databaseOid, publication, version });
  } finally {
    await within(RELEASE_TIMEOUT_MS, client.end());
  }
  const channel = await explained(() =>
    createStreamReader({ url, namespace, secret, onProblem: createReporter('does not tell of changes') }),
  );
  acquired.defer(() => within(RELEASE_TIMEOUT_MS, channel.close()));
  return createStreamedFeed({ connection: databaseUrl, systemId, channel, startTimeoutMs: STREAM_TIMEOUT_MS });
}

/** Whoever has no second tier does not load it. */
function load(): Promise<typeof import('../cache/redis/index.ts')> {
  return import('../cache/redis/index.ts');
}

/** What all processes share that share answers. */
async function identify(
  db: Pool,
  feed: Feed,
): Promise<Parameters<typeof import('../cache/redis/index.ts').namespaceOf>[0]> {
  const { systemId = '', publication } = feed.status();
  const { rows } = await db.query('select oid::int8::text as oid from pg_database where datname = current_database()');
  return { systemId, databaseOid: Number(rows[0].oid), publication, version: readVersion() };
}

async function explained<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (cause) {
    const { RedisTierError } = await load();
    if (!(cause instanceof RedisTierError || cause instanceof PeerError)) throw cause;
    throw new RuntimeError('ERR_RUNTIME_CONFIGURATION', `REDIS_URL is set. ${cause.message}`, { cause });
  }
}

/** A problem is tried again many times a second: it is told once a minute. */
function createReporter(consequence: string): (error: Error) => void {
  let toldAtMs = Number.NEGATIVE_INFINITY;
  return ({ message }) => {
    if (performance.now() - toldAtMs < REPORT_PAUSE_MS) return;
    toldAtMs = performance.now();
    process.stderr.write(`vazao: Redis ${consequence}: ${message}\n`);
  };
}
