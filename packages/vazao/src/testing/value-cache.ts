/** `createCache` on a test database whose tables have REPLICA IDENTITY FULL, with nothing suspect running. */
import { setReplicaIdentityFull } from '../feed/index.ts';
import { type CreateCacheOptions, createCache, type ValueCache } from '../standalone/index.ts';
import type { TestDatabase } from './database.ts';
import { untilUnsuspected } from './unsuspected.ts';

export async function createTestCache(
  database: TestDatabase,
  schema: string,
  options: Partial<CreateCacheOptions> = {},
): Promise<ValueCache> {
  await database.pool.query(schema);
  const { rows } = await database.pool.query(
    `select oid::regclass::text as name from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace`,
  );
  const client = await database.client();
  await setReplicaIdentityFull(
    client,
    rows.map(({ name }) => name),
  );
  await client.end();
  // A machine that is busy for a second must not look like a feed that is away.
  const feed = { leaseMs: 20_000, ...options.feed };
  const cache = await createCache({ connectionString: database.url, ...options, feed });
  await untilUnsuspected(cache.feed);
  return cache;
}
