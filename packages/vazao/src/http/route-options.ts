/** `config.cache` of a route, checked when the route is registered. */
import { type Duration, parseDuration } from '../cache/index.ts';
import { HttpError } from './errors.ts';
import type { RouteCacheOptions } from './options.ts';

export interface ResolvedRouteCacheOptions {
  readonly ttlMs: number | undefined;
  readonly staleForMs: number;
  readonly staleIfErrorMs: number;
}

const NAMES = ['ttl', 'staleFor', 'staleIfError'] as const;

/** Undefined when the route is not cached. Throws {@link HttpError}. */
export function resolveRouteCacheOptions(value: unknown, route: string): ResolvedRouteCacheOptions | undefined {
  if (value === undefined || value === false) return undefined;
  if (value === true) return { ttlMs: undefined, staleForMs: 0, staleIfErrorMs: 0 };
  if (typeof value !== 'object' || value === null) {
    throw new HttpError(
      'ERR_HTTP_CACHE_OPTIONS',
      `${route}: config.cache is ${String(value)}; it may be true, false, or an object with ${NAMES.join(', ')}.`,
    );
  }
  for (const name of Object.keys(value)) {
    if (!(NAMES as readonly string[]).includes(name)) {
      throw new HttpError(
        'ERR_HTTP_CACHE_OPTIONS',
        `${route}: config.cache.${name} is not known; there are ${NAMES.join(', ')}.`,
      );
    }
  }
  const options = value as RouteCacheOptions;
  const read = (name: (typeof NAMES)[number]): number | undefined => {
    const duration = options[name];
    if (duration === undefined) return undefined;
    const ms = parseDuration(duration as Duration);
    if (ms === undefined) {
      throw new HttpError(
        'ERR_HTTP_CACHE_OPTIONS',
        `${route}: config.cache.${name} is ${JSON.stringify(duration)}; write milliseconds, or a number with ms, s, m, h or d, such as '15m'.`,
      );
    }
    return ms;
  };
  return { ttlMs: read('ttl'), staleForMs: read('staleFor') ?? 0, staleIfErrorMs: read('staleIfError') ?? 0 };
}
