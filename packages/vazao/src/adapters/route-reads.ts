/**
 * Cached GET routes for frameworks that hide from us what ran before the handler. There a handler can't be observed as in
 * Fastify: an earlier middleware may have read a cookie, and have left `req.user`. So
 *
 *   - a request with `Cookie` or `Authorization` is never answered from the cache, nor kept, unless `key` says whose it is;
 *   - what the handler itself reads of the headers is seen, and becomes a part of the key, and so does what `Vary` names;
 *   - what no key can hold (the socket, all headers at once) makes the answer uncacheable.
 */
import { LRUCache } from 'lru-cache';
import { type Duration, isPassing } from '../cache/index.ts';
import { bypassStatus, HitStatus, missStatus } from '../http/cache-status.ts';
import { type Key, writeKey } from '../standalone/key.ts';
import { resolveReadOptions } from '../standalone/options.ts';
import type { Read, Reads } from '../standalone/reads.ts';
import { partsOf, type ValueCache } from '../standalone/value-cache.ts';
import { type Answer, bytesOf, complete, findReason, readVary } from './kept-answer.ts';

export interface RouteOptions<Request> {
  /**
   * Who may share an answer, beside those who ask for the same URL of the same host: a user's id, a tenant, a role. Called for
   * every request; undefined sends it past the cache. Without it requests with `Cookie` or `Authorization` pass by.
   *
   * It must name all that earlier middleware has found out of the request and that the handler uses.
   */
  readonly key?: ((request: Request) => Key | undefined) | undefined;
  /** The oldest that an answer may get although no row behind it changed. @defaultValue no limit */
  readonly ttl?: Duration | undefined;
  /** How long a dropped answer may still be served while one recomputation runs. @defaultValue 0 */
  readonly staleFor?: Duration | undefined;
  /** How long a dropped answer may still be served when the handler throws. @defaultValue 0 */
  readonly staleIfError?: Duration | undefined;
  /** Larger answers are served and not kept. @defaultValue 1 MiB */
  readonly bodyMaxBytes?: number | undefined;
}

/** What is asked of a request before its handler runs. */
export interface Asked {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  header(name: string): string | undefined;
}

/** What the handler reads of the request's headers. */
export interface HeaderWatch {
  readonly names: ReadonlySet<string>;
  /** Set when it read what no key can hold. */
  readonly unkeyed: { readonly code: string; readonly detail: string } | undefined;
}

/** The answer; undefined when it went out by itself, because it was too large or came in pieces. */
export type Handled = { readonly answer: Answer | undefined; readonly watch: HeaderWatch };

/** URLs whose answers are known to depend on headers. */
const VARYING_MAX = 10_000;
/** More names in one URL's list are a mistake. */
const NAMES_MAX = 16;
export const BODY_MAX_BYTES_DEFAULT: number = 1024 * 1024;

let routes = 0;

export class RouteReads<Request> {
  readonly #reads: Reads<unknown>;
  readonly #options: RouteOptions<Request>;
  readonly #readOptions: Omit<ReturnType<typeof resolveReadOptions>, 'after'>;
  readonly #hitStatus: HitStatus;
  readonly #varying = new LRUCache<string, readonly string[]>({ max: VARYING_MAX });
  /** Two routes may share a URL: one middleware may answer what another passes on. */
  readonly #id = ++routes;
  readonly bodyMaxBytes: number;

  constructor(cache: ValueCache, options: RouteOptions<Request>) {
    const { key: _, bodyMaxBytes, ...rest } = options;
    this.#options = options;
    this.#readOptions = resolveReadOptions(rest);
    this.bodyMaxBytes = bodyMaxBytes ?? BODY_MAX_BYTES_DEFAULT;
    this.#reads = partsOf(cache).reads;
    this.#hitStatus = new HitStatus(() => cache.feed.lagMs);
  }

  /** The key of the request's answer without headers; or why the request passes the cache by. */
  keyOf(request: Request, asked: Asked): { readonly key: string } | { readonly bypass: string } {
    if (asked.method !== 'GET') return { bypass: 'method' };
    if (asked.header('transfer-encoding') !== undefined || Number(asked.header('content-length') ?? 0) > 0)
      return { bypass: 'body' };
    const { key } = this.#options;
    const own = key?.(request);
    if (key && own === undefined) return { bypass: 'key' };
    if (!key && (asked.header('cookie') !== undefined || asked.header('authorization') !== undefined))
      return { bypass: 'credentials' };
    const parts = [String(this.#id), asked.header('host') ?? '', asked.url, own === undefined ? '' : writeKey(own)];
    return { key: `r${writeKey(parts)}` };
  }

  /** The answer, and the `Cache-Status` to send with it; undefined when it went out by itself. */
  async answer(
    key: string,
    asked: Asked,
    handle: () => Promise<Handled>,
  ): Promise<{ readonly answer: Answer; readonly cacheStatus: string } | undefined> {
    const isPersonal = this.#options.key !== undefined;
    const names = this.#varying.get(key) ?? [];
    const values = names.map((name) => asked.header(name));
    // What the handler made of this request, whether or not it is kept.
    let own: Answer | undefined;
    const read = (await this.#reads.read({
      ...this.#readOptions,
      after: undefined,
      key: names.length === 0 ? key : `${key}\0${writeKey([...names, ...values])}`,
      mayRepeat: false,
      bytesOf: (kept) => (kept ? bytesOf(kept as Answer) : 0),
      compute: async (refuse) => {
        const { answer, watch } = await handle();
        if (!answer) {
          refuse('too-large', 'The answer is too large, or was flushed before it was complete.');
          return undefined;
        }
        own = answer;
        const why = watch.unkeyed ?? findReason(answer, isPersonal);
        if (why) refuse(why.code, why.detail);
        const all = new Set([...names, ...watch.names, ...readVary(answer)]);
        if (all.size > names.length) {
          this.#varying.set(key, [...all].slice(0, NAMES_MAX));
          refuse('varied', 'The answer depends on headers that its key did not hold; the next one holds them.');
        }
        return complete(answer, [...all], isPersonal);
      },
    })) as Read<Answer | undefined>;
    if (!read.value) return undefined;
    const code = read.notStored?.code;
    // An answer that may not be kept goes out as the application made it.
    const isPlain = code !== undefined && (!isPassing(code) || code === 'failed' || code === 'status');
    return { answer: isPlain ? (own ?? read.value) : read.value, cacheStatus: this.#statusOf(read, names.length > 0) };
  }

  #statusOf({ outcome, notStored }: Read<unknown>, varied: boolean): string {
    switch (outcome) {
      case 'hit':
        return this.#hitStatus.text;
      case 'stale':
        return 'vazao; hit; detail="stale"';
      case 'collapsed':
        return missStatus(varied, 'collapsed');
      case 'filled':
        return missStatus(varied, notStored ? { notStored: notStored.code } : 'stored');
      default:
        return bypassStatus(notStored?.code ?? outcome);
    }
  }
}
