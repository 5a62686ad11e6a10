import { type CreateCacheOptions, createCache, type ValueCache } from '../../standalone/index.ts';

/** Next bundles the modules of an application for its pages, and loads them again for its cache handler. */
const NAME = Symbol.for('vazao.next.cache');
const registry = globalThis as { [NAME]?: Promise<ValueCache> | undefined };

/** What Next calls the phase of `next build`, in the environment. */
const BUILD_PHASE = 'phase-production-build';

export function isBuilding(): boolean {
  return process.env.NEXT_PHASE === BUILD_PHASE;
}

/**
 * The one cache of this process: what `createCache` makes, however often the module that asks for it is loaded. The options
 * of the first call count. While Next builds, nothing follows the database: what a build renders is not kept by us.
 *
 * Throws what `createCache` throws; the next call tries again.
 */
export function openCache(options: CreateCacheOptions): Promise<ValueCache> {
  registry[NAME] ??= createCache(isBuilding() ? forBuild(options) : options).catch((error) => {
    registry[NAME] = undefined;
    throw error;
  });
  return registry[NAME];
}

/** No slot for each of the processes that build, and none that stays for it. */
function forBuild(options: CreateCacheOptions): CreateCacheOptions {
  return {
    ...options,
    replicaUrls: [],
    feed: { ...options.feed, source: 'app' },
    pool: { ...options.pool, allowExitOnIdle: true },
  };
}
