/** How many streams there may be, and how often something is written to them. */
import type { FastifyRequest } from 'fastify';
import { HttpError } from '../errors.ts';

export interface LiveOptions {
  /** Open streams of this process. One more is answered 503. @defaultValue {@link STREAMS_MAX_DEFAULT} */
  readonly streamsMax?: number | undefined;
  /** Open streams of one address, or of one /64 network of IPv6. One more is answered 429. @defaultValue {@link PER_ADDRESS_MAX_DEFAULT} */
  readonly perAddressMax?: number | undefined;
  /** Open streams of one user, as `identify` tells. One more is answered 429. @defaultValue {@link PER_USER_MAX_DEFAULT} */
  readonly perUserMax?: number | undefined;
  /** Whose stream it is, for `perAddressMax`. @defaultValue as the limits count, or `request.ip` without them */
  readonly addressOf?: ((request: FastifyRequest) => string) | undefined;
  /** Least time between two computations of one answer, in milliseconds; a route's `liveInterval` goes before. @defaultValue {@link INTERVAL_MS_DEFAULT} */
  readonly intervalMs?: number | undefined;
  /** Answers computed at a time for all streams together. @defaultValue {@link COMPUTING_MAX_DEFAULT} */
  readonly computingMax?: number | undefined;
  /** How long a stream is silent before a comment is written to it, in milliseconds. @defaultValue {@link HEARTBEAT_MS_DEFAULT} */
  readonly heartbeatMs?: number | undefined;
  /** How long a client may leave what was written to it unread, in milliseconds. @defaultValue {@link SLOW_MAX_MS_DEFAULT} */
  readonly slowMaxMs?: number | undefined;
  /** Bytes of older states that are kept for slow clients, all together; then the slowest are cut off. @defaultValue {@link SLOW_MAX_BYTES_DEFAULT} */
  readonly slowMaxBytes?: number | undefined;
  /** Numbers from 0 to 1. @defaultValue `Math.random` */
  readonly random?: (() => number) | undefined;
}

export const STREAMS_MAX_DEFAULT = 20_000;
/** A fence around one machine, with room for an office behind one address. */
export const PER_ADDRESS_MAX_DEFAULT = 256;
export const PER_USER_MAX_DEFAULT = 16;
export const INTERVAL_MS_DEFAULT = 100;
export const COMPUTING_MAX_DEFAULT = 4;
/** Below the 30 s after which common proxies take a silent connection for dead. */
export const HEARTBEAT_MS_DEFAULT = 20_000;
export const SLOW_MAX_MS_DEFAULT = 30_000;
export const SLOW_MAX_BYTES_DEFAULT: number = 32 * 1024 * 1024;

export type ResolvedLiveOptions = { readonly [Name in keyof LiveOptions]-?: NonNullable<LiveOptions[Name]> };

const LEAST = {
  streamsMax: 1,
  perAddressMax: 1,
  perUserMax: 1,
  intervalMs: 0,
  computingMax: 1,
  heartbeatMs: 20,
} as const;

/** Throws {@link HttpError}. */
export function resolveLiveOptions(options: LiveOptions): ResolvedLiveOptions {
  const resolved = {
    streamsMax: options.streamsMax ?? STREAMS_MAX_DEFAULT,
    perAddressMax: options.perAddressMax ?? PER_ADDRESS_MAX_DEFAULT,
    perUserMax: options.perUserMax ?? PER_USER_MAX_DEFAULT,
    addressOf:
      options.addressOf ??
      ((request: FastifyRequest): string => request.server.limits?.addressOf(request) ?? request.ip),
    intervalMs: options.intervalMs ?? INTERVAL_MS_DEFAULT,
    computingMax: options.computingMax ?? COMPUTING_MAX_DEFAULT,
    heartbeatMs: options.heartbeatMs ?? HEARTBEAT_MS_DEFAULT,
    slowMaxMs: options.slowMaxMs ?? SLOW_MAX_MS_DEFAULT,
    slowMaxBytes: options.slowMaxBytes ?? SLOW_MAX_BYTES_DEFAULT,
    random: options.random ?? Math.random,
  };
  for (const [name, least] of Object.entries(LEAST)) {
    const value = resolved[name as keyof typeof LEAST];
    if (!(value >= least))
      throw new HttpError('ERR_HTTP_LIVE_OPTIONS', `live.${name} is ${value}; write a number of at least ${least}.`);
  }
  return resolved;
}
