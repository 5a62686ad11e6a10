/** `config.cache` of a route, checked when the route is registered. */
import { type Duration, parseDuration } from '../cache/index.ts';
import { HttpError } from './errors.ts';
import type { RouteCacheOptions } from './options.ts';

export interface ResolvedRouteCacheOptions {
  readonly ttlMs: number | undefined;
  readonly staleForMs: number;
  readonly staleIfErrorMs: number;
  /** Whether it may be followed as a stream of events. */
  readonly isLive: boolean;
  /** Undefined: as the plugin is set. */
  readonly liveIntervalMs: number | undefined;
  /** Whether a sample of its hits is computed again and must be equal. */
  readonly isAudited: boolean;
}

const DURATIONS = ['ttl', 'staleFor', 'staleIfError', 'liveInterval'] as const;
const SWITCHES = ['live', 'audit'] as const;
const NAMES = [...DURATIONS, ...SWITCHES] as const;

/** Undefined when the route is not cached. Throws {@link HttpError}. */
export function resolveRouteCacheOptions(value: unknown, route: string): ResolvedRouteCacheOptions | undefined {
  if (value === undefined || value === false) return undefined;
  if (value === true) return resolveRouteCacheOptions({}, route);
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
  for (const name of SWITCHES) {
    if (options[name] === undefined || typeof options[name] === 'boolean') continue;
    throw new HttpError(
      'ERR_HTTP_CACHE_OPTIONS',
      `${route}: config.cache.${name} is ${JSON.stringify(options[name])}; it may be true or false.`,
    );
  }
  if (options.audit === false && options.ttl === undefined) {
    throw new HttpError(
      'ERR_HTTP_CACHE_OPTIONS',
      `${route}: config.cache.audit is false, so its answers come from more than the database, and nothing ends them when that changes. Name a \`ttl\`.`,
    );
  }
  const read = (name: (typeof DURATIONS)[number]): number | undefined => {
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
  return {
    ttlMs: read('ttl'),
    staleForMs: read('staleFor') ?? 0,
    staleIfErrorMs: read('staleIfError') ?? 0,
    isLive: options.live ?? true,
    liveIntervalMs: read('liveInterval'),
    isAudited: options.audit ?? true,
  };
}
