import type { NotStored } from '../../cache/index.ts';
import type { ValueCache } from '../../standalone/index.ts';
import type { NextEntry, NextGetContext, NextSetContext } from './entry.ts';
import { isBuilding } from './open-cache.ts';
import { Renders } from './renders.ts';

export interface CacheHandlerOptions {
  /** Told of each answer that is given and not kept, under Next's key. @defaultValue nobody is told */
  readonly onNotStored?: ((key: string, why: NotStored) => void) | undefined;
}

/** What Next makes of the class for each request. */
export interface NextCacheHandler {
  get(key: string, context?: NextGetContext): Promise<NextEntry | null>;
  set(key: string, data: unknown, context?: NextSetContext): Promise<void>;
  /** Of this process alone. What is tagged is not given any more, also where Next would let it be given once more. */
  revalidateTag(tags: string | readonly string[]): Promise<void>;
  resetRequestCache(): void;
}

export type NextCacheHandlerClass = new () => NextCacheHandler;

/**
 * The class that `cacheHandler` of `next.config.js` asks for, as the default export of a file: pages, route handlers,
 * `getStaticProps` and `unstable_cache` are kept in the cache, and dropped when a row changes that they read through
 * `cache.db`. Set `cacheMaxMemorySize: 0` beside it, or Next keeps copies of its own.
 */
export function createCacheHandler(
  cache: ValueCache,
  { onNotStored = () => {} }: CacheHandlerOptions = {},
): NextCacheHandlerClass {
  const renders = new Renders(cache, onNotStored);
  return class CacheHandler implements NextCacheHandler {
    get(key: string, context: NextGetContext = {}): Promise<NextEntry | null> {
      return isBuilding() ? Promise.resolve(null) : renders.get(key, context);
    }

    async set(key: string, data: unknown, context: NextSetContext = {}): Promise<void> {
      if (!isBuilding()) await renders.set(key, data, context);
    }

    async revalidateTag(tags: string | readonly string[]): Promise<void> {
      renders.revalidate([tags].flat());
    }

    resetRequestCache(): void {}
  };
}
