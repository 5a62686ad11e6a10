import { Cache } from '../cache/index.ts';
import { Pool } from '../db/index.ts';
import { createFeed } from '../feed/index.ts';
import {
  type CreateCacheOptions,
  FILL_MAX_MS_DEFAULT,
  resolveCodec,
  VALUE_MAX_BYTES_DEFAULT,
  WAIT_MAX_MS_DEFAULT,
} from './options.ts';
import { type Kept, Reads } from './reads.ts';
import { ValueCache } from './value-cache.ts';

/**
 * Opens a feed, a cache and a pool on a database; close them with `close()` or `await using`. Needs no web server.
 *
 * ```ts
 * const cache = await createCache({ connectionString: process.env.DATABASE_URL });
 * const livro = await cache.read(['livro', id], async () => {
 *   const { rows } = await cache.db.query('select * from livros where id = $1', [id]);
 *   return rows[0];
 * });
 * ```
 *
 * Throws `FeedError` when the changes of the database can't be followed, `CacheError`, and what `pg` throws.
 */
export async function createCache(options: CreateCacheOptions): Promise<ValueCache> {
  const { connectionString, onProblem = warn, waitMaxMs = WAIT_MAX_MS_DEFAULT } = options;
  const codec = resolveCodec(options.codec);
  await using acquired = new AsyncDisposableStack();
  const feed = createFeed({ ...options.feed, connection: options.feed?.connection ?? connectionString });
  acquired.defer(() => feed.close());
  feed.on('problem', onProblem);
  const cache = new Cache<Kept<unknown>>({ feed, sizeMaxBytes: options.sizeMaxBytes });
  const db = new Pool({
    ...options.pool,
    connectionString,
    cache: cache as Cache<unknown>,
    feed,
    publication: options.feed?.publication,
    declaredFunctions: options.declaredFunctions,
    replicaUrls: options.replicaUrls,
    onWrite: (position) => reads.noteWrite(position),
  });
  const reads = new Reads<unknown>({
    cache,
    feed,
    db,
    waitMaxMs,
    fillMaxMs: options.fillMaxMs ?? FILL_MAX_MS_DEFAULT,
  });
  db.on('error', () => {}); // an idle connection was lost: the pool opens another when it needs one
  acquired.defer(() => db.end());
  await feed.start();
  await db.prepare();
  const release = acquired.move();
  return new ValueCache({
    db,
    feed,
    cache,
    reads,
    codec,
    onProblem,
    valueMaxBytes: options.valueMaxBytes ?? VALUE_MAX_BYTES_DEFAULT,
    close: () => release.disposeAsync(),
  });
}

function warn(problem: Error): void {
  process.emitWarning(problem);
}
