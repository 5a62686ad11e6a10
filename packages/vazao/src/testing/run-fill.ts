import assert from 'node:assert/strict';
import type { Cache } from '../cache/index.ts';
import { runInContext, type WorkContext } from '../db/context.ts';
import type { Pool } from '../db/pool.ts';
import type { Feed } from '../feed/index.ts';

export interface Filled {
  readonly value: unknown;
  /** 'stored', or why not. */
  readonly outcome: string;
  readonly position: bigint;
}

export interface FillParts {
  readonly pool: Pool;
  readonly cache: Cache<unknown>;
  readonly feed: Feed;
}

/** As the HTTP plugin does: the session ends with the answer, which waits for the feed to pass its snapshot. */
export async function runFill(
  { pool, cache, feed }: FillParts,
  key: string,
  work: () => PromiseLike<unknown>,
): Promise<Filled> {
  const joined = cache.join(key);
  assert.ok(joined.role === 'leader');
  const session = pool.openSession(joined.fill);
  const context: WorkContext = { fill: session, position: 0n };
  let value: unknown;
  try {
    value = await runInContext(context, async () => await work());
  } catch (error) {
    joined.fill.abandon('failed', String(error));
    value = error;
  }
  session.close();
  assert.ok(await feed.waitFor(joined.fill.position, 5_000));
  const completed = cache.complete(joined.fill, { key, value, valueBytes: 10 });
  return { value, outcome: completed.stored ? 'stored' : completed.why.code, position: context.position };
}
