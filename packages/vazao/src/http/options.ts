import type { Duration } from '../cache/index.ts';
import type { Feed } from '../feed/index.ts';
import type { AnswerFigures } from './answer-counts.ts';
import type { AuditFigures } from './auditor.ts';
import type { LiveFigures } from './live/index.ts';
import type { RefreshFigures } from './refresh/index.ts';

/** The part of a feed that the plugin uses. */
export type PluginFeed = Pick<Feed, 'position' | 'lagMs' | 'isFresh' | 'waitFor'>;

/** Who is asking, as the application tells. All of it but `expiresAt` is part of the key of an answer that reads `request.user`. */
export interface Identity {
  readonly id: string;
  /** When the proof of identity ends, in milliseconds since 1970. Undefined: it does not end. */
  readonly expiresAt?: number | undefined;
  readonly [claim: string]: unknown;
}

/**
 * Tells who is asking. A hit is served before any hook of the application runs, so the identity can't come from a hook:
 * it is computed from the named headers alone, and remembered (bounded, until `expiresAt`).
 */
export interface Identify {
  /** Lower-case names of the request headers that prove the identity, usually `['authorization']`. */
  readonly headers: readonly string[];
  /**
   * Names of the cookies that prove the identity, where `cookie` is among the headers. An answer whose handler reads one of
   * them by itself is not stored: it would outlive what the cookie proves.
   */
  readonly cookies?: readonly string[] | undefined;
  /**
   * True: asked for each request, because it remembers by itself, as sessions do that end at once; it then gives the same
   * object for the same caller, so that its key is made once.
   * @defaultValue false
   */
  readonly remembers?: boolean | undefined;
  /**
   * The identity, or undefined for an anonymous caller or a proof that does not hold. Must not throw for bad input: what it
   * throws means that nobody can tell who asks, and meets whoever reads `request.user`.
   */
  readonly user: (
    headers: Readonly<Record<string, string | undefined>>,
  ) => Promise<Identity | undefined> | Identity | undefined;
}

/** The `config.cache` of a route. `true` means all defaults. */
export interface RouteCacheOptions {
  /** The oldest that an answer may get although no row behind it changed. Needed where a statement depends on time. @defaultValue no limit */
  readonly ttl?: Duration | undefined;
  /** How long an invalidated answer may still be served while one recomputation runs. @defaultValue 0 */
  readonly staleFor?: Duration | undefined;
  /** How long an invalidated answer may still be served when the recomputation fails. @defaultValue 0 */
  readonly staleIfError?: Duration | undefined;
  /** Whether clients may follow the answer as a stream of events (`Accept: text/event-stream`). @defaultValue true */
  readonly live?: boolean | undefined;
  /** Least time between two computations for those who follow. @defaultValue that of the plugin (`LiveOptions.intervalMs`) */
  readonly liveInterval?: Duration | undefined;
  /**
   * `false` for a route whose answers come from more than its request and the database (the clock, another service), and
   * that has a `ttl` for it: computed again, they may differ, and that is no wrong hit. @defaultValue true
   */
  readonly audit?: boolean | undefined;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Caches the answers of a GET route exactly: dropped when a row behind them changes. */
    cache?: boolean | RouteCacheOptions | undefined;
    /** `false`: its answers are sent as they are, never by gzip, Brotli or Zstandard. For pages that hold a secret beside what a stranger may choose (BREACH). @defaultValue true */
    compress?: boolean | undefined;
  }
  interface FastifyInstance {
    /** How many answers left so far; refusals before routing are no part of it, see `limits.figures()`. */
    readonly answered: AnswerFigures;
    /** What came of computing a sample of the hits again; undefined when none are. */
    readonly audit: AuditFigures | undefined;
    /** The streams of events that are open; undefined where there are none to be had. */
    readonly live: LiveFigures | undefined;
    /** Answers that were computed ahead of their readers; undefined where none are. */
    readonly refresh: RefreshFigures | undefined;
  }
  interface FastifyRequest {
    /** Who is asking, by {@link Identify}. Reading it in a cached handler makes the answer per user. */
    readonly user: Identity | undefined;
  }
}
