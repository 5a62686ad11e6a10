/** What Next.js keeps of pages, route handlers and data, dropped when a row changes: `vazao/next`. */
export type { NotStored } from '../../cache/index.ts';
export {
  type CacheHandlerOptions,
  createCacheHandler,
  type NextCacheHandler,
  type NextCacheHandlerClass,
} from './cache-handler.ts';
export type { NextEntry, NextGetContext, NextSetContext } from './entry.ts';
export { openCache } from './open-cache.ts';
