/** The second tier of a server: each process that serves has a client of it, and each host a relay. */
import type { Relay, SecondTier } from '../cache/redis/index.ts';
import { Pool, PostgresLeaderLock } from '../db/index.ts';
import type { Feed } from '../feed/index.ts';
import { type CacheValue, valueCodec } from '../http/index.ts';
import { PeerError } from '../peer/index.ts';
import type { Application } from './application.ts';
import { findCodeVersion } from './code-version.ts';
import type { Configuration } from './configuration.ts';
import { RuntimeError } from './errors.ts';
import { RELEASE_TIMEOUT_MS, within } from './release.ts';
import { readVersion } from './version.ts';

const REPORT_PAUSE_MS = 60_000;

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
  /** Of the primary itself. */
  readonly databaseUrl: string;
}

/** Of a host; undefined without `REDIS_URL`. Keeps two connections to the database. Throws {@link RuntimeError}. */
export async function openRelay(
  { configuration, feed, databaseUrl }: RelayParts,
  acquired: AsyncDisposableStack,
): Promise<Relay | undefined> {
  const { redisUrl: url } = configuration;
  if (url === undefined) return undefined;
  // Reads the schema, and again when it changes; nothing is cached here.
  const schema = new Pool({
    connectionString: databaseUrl,
    max: 1,
    application_name: 'vazao relay',
    cache: { setLineage: () => {} },
    feed,
  });
  schema.on('error', () => {}); // an idle connection was lost: the pool opens another when it needs one
  acquired.defer(() => within(RELEASE_TIMEOUT_MS, schema.end()));
  await schema.prepare();
  const { createRelay, namespaceOf } = await load();
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
  return relay;
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
