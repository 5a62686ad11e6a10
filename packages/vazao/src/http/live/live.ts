/**
 * Live answers: any cached GET may be followed as a stream of events (`Accept: text/event-stream`).
 *
 *   request ── a place? ── the first answer ─┬─ a text that is kept ──► stream: this state, and each that comes after
 *                │ no: 429, 503              ├─ another status ───────► answered with it, as without a stream
 *                                            └─ not kept, no text ────► 406
 *
 * What the answer depends on is found as for a hit, so who may not have it can't follow it; `topics.ts` keeps it current.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, LightMyRequestResponse } from 'fastify';
import { UNKNOWN_POSITION } from '../../feed/index.ts';
import { isFor } from '../answer-fill.ts';
import { facetValue, varyOf } from '../facets.ts';
import type { Identities, KnownIdentity } from '../identities.ts';
import { type HttpCache, walk } from '../lookup.ts';
import type { PluginFeed } from '../options.ts';
import { type CarriedPosition, POSITION_HEADER, type PositionTokens } from '../position-token.ts';
import { type Asking, currentRepeat, keepAsking, writeRepeated } from '../repeat.ts';
import type { ResolvedRouteCacheOptions } from '../route-options.ts';
import { acceptableCodings } from '../sending/content-coding.ts';
import { readSendingFields } from '../sending/preconditions.ts';
import { writeStoredResponse } from '../sending/write-stored.ts';
import type { StoredResponse } from '../stored-response.ts';
import { type Computed, compute } from './compute.ts';
import { createRetryFrame, type Frame, type LastEvent, parseLastEventId } from './frame.ts';
import { EVENT_STREAM, wantsEvents, withoutEvents } from './negotiation.ts';
import { type LiveOptions, type ResolvedLiveOptions, resolveLiveOptions } from './options.ts';
import { Pulse } from './pulse.ts';
import { LiveStream } from './stream.ts';
import { StreamLimits } from './stream-limits.ts';
import { Topics } from './topics.ts';

export interface LiveSettings {
  readonly app: FastifyInstance;
  readonly cache: HttpCache;
  readonly feed: PluginFeed;
  readonly tokens: PositionTokens;
  readonly identities: Identities;
  /** How long a client that carries a position waits for the feed, before its first answer is computed past the cache. */
  readonly readWaitMaxMs: number;
}

/** What the streams are and have done, for health checks and the console. */
export interface LiveFigures {
  readonly streams: number;
  /** Answers that are followed. */
  readonly answers: number;
  /** Times that one of them was computed again. */
  readonly computations: number;
  /** States that were written, once for each stream. */
  readonly sent: number;
  /** States that a stream was not shown, because there was a newer one before its client had read. */
  readonly skipped: number;
  /** Clients that were cut off because they read too slowly. */
  readonly cutOff: number;
}

/** A request to follow an answer. */
interface Following {
  readonly asking: Asking;
  readonly baseKey: string;
  readonly caller: KnownIdentity;
  readonly options: ResolvedRouteCacheOptions;
  /** What the client has seen or written: nothing older may come first. */
  readonly carried: CarriedPosition | undefined;
  readonly last: LastEvent | undefined;
}

/** How a request to follow an answer is answered. */
type Opening =
  | Follow
  | { readonly kind: 'pass on'; readonly answer: LightMyRequestResponse }
  | { readonly kind: 'refuse'; readonly status: 406 | 503; readonly detail: string };

interface Follow {
  readonly kind: 'follow';
  readonly stored: StoredResponse;
  /** Undefined: it was not kept, and its key may not be known. */
  readonly key: string | undefined;
  readonly isCurrent: boolean;
}

const RESTARTS: Opening = { kind: 'refuse', status: 503, detail: 'The server restarts.' };

/** Fields that ask for another answer than the one that is followed, or for a form of it. */
const NOT_ASKED = new Set([
  'accept',
  'accept-encoding',
  // A browser sends both with each stream, and means the stream.
  'cache-control',
  'pragma',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-event-id',
  'range',
  POSITION_HEADER,
]);
/** What an answer says of its own body, and not of the exchange. */
const OF_BODY = new Set([
  'accept-ranges',
  'age',
  'cache-control',
  'cache-status',
  'connection',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-type',
  'etag',
  'expires',
  'last-modified',
  'vary',
  POSITION_HEADER,
]);
const LOOKS_MAX = 3;
const RETRY_MIN_MS = 1_000;
const RETRY_SPREAD_MS = 2_000;
/** After a restart all come back: so many a second. */
const RETURNS_PER_S = 1_000;
/** Streams that are told of the end in one turn of the event loop. */
const ENDED_AT_ONCE = 500;

export class Live {
  readonly #settings: LiveSettings;
  readonly #options: ResolvedLiveOptions;
  readonly #limits: StreamLimits;
  readonly #topics: Topics;
  readonly #pulse: Pulse;
  readonly #streams = new Set<LiveStream>();
  /** First computations that run, by key: those who come meanwhile wait for them. */
  readonly #firsts = new Map<string, Promise<Computed>>();
  #isClosing = false;

  constructor(settings: LiveSettings, options: LiveOptions) {
    const { app, cache, feed } = settings;
    this.#settings = settings;
    this.#options = resolveLiveOptions(options);
    this.#limits = new StreamLimits(this.#options);
    this.#topics = new Topics({ app, cache, feed, options: this.#options, retryMs: () => this.#retryMs() });
    this.#pulse = new Pulse(
      this.#options,
      () => {
        this.#topics.slow.sweep(performance.now());
        this.#topics.beat();
      },
      (stream) => void this.#checkCaller(stream),
      (stream) => this.#topics.end(stream, 'expired'),
    );
  }

  get figures(): LiveFigures {
    const { size: answers, computations, sent, skipped, slow } = this.#topics;
    return { streams: this.#limits.streams, answers, computations, sent, skipped, cutOff: slow.cutOff };
  }

  isAskedFor({ raw }: FastifyRequest, { isLive }: ResolvedRouteCacheOptions): boolean {
    return isLive && wantsEvents(raw.headers.accept) && !currentRepeat();
  }

  /** Answers the request: with a stream, or with the reason why there is none. */
  async open(
    request: FastifyRequest,
    reply: FastifyReply,
    baseKey: string,
    options: ResolvedRouteCacheOptions,
    caller: KnownIdentity,
  ): Promise<void> {
    const place = this.#limits.take(this.#options.addressOf(request), caller.identity?.id);
    if (typeof place !== 'function') {
      this.#refuse(reply, place.status, place.detail);
      return;
    }
    reply.raw.once('close', place);
    try {
      const { tokens } = this.#settings;
      const { headers, rawHeaders } = request.raw;
      const last = parseLastEventId(headers['last-event-id']?.toString());
      const seen = last?.token === undefined ? undefined : tokens.find([POSITION_HEADER, last.token]);
      const carried = later(tokens.find(rawHeaders), seen);
      const following = { asking: this.#toAsking(request), baseKey, caller, options, carried, last };
      this.#answer(request, reply, following, await this.#findFirst(following));
    } catch (error) {
      place();
      throw error;
    }
  }

  /** Tells all clients to come back, somewhere else or later, and ends their streams. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#topics.close();
    let ended = 0;
    for (const stream of this.#streams) {
      this.#topics.end(stream, 'restart');
      if (++ended % ENDED_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    this.#pulse.close();
  }

  /** A session may have been ended, or have another user, since the stream was opened: asked again, as each hit asks. */
  async #checkCaller(stream: LiveStream): Promise<void> {
    const { caller, asking } = stream;
    if (!caller.identity) return;
    const now = await this.#settings.identities.of(asking.headers);
    // That it can't be found out says nothing against it.
    if (!now.failure && now.key !== caller.key) this.#topics.end(stream, 'expired');
  }

  /** The request for the answer itself. */
  #toAsking({ raw }: FastifyRequest): Asking {
    const asking = keepAsking(raw, NOT_ASKED);
    const accept = withoutEvents(raw.headers.accept ?? '');
    return accept === undefined ? asking : { ...asking, headers: { ...asking.headers, accept } };
  }

  async #findFirst({ asking, baseKey, caller, carried }: Following): Promise<Computed> {
    const { app, cache, feed, readWaitMaxMs } = this.#settings;
    if (carried && !(await feed.waitFor(carried.position, readWaitMaxMs))) {
      // As without a stream: computed past the cache, of a moment after what the client has seen.
      return compute(app, { ...asking, headers: { ...asking.headers, [POSITION_HEADER]: carried.token } });
    }
    for (let looks = 0; looks < LOOKS_MAX; looks++) {
      const { key, entry } = walk(cache, baseKey, asking, caller);
      if (entry && cache.isFresh() && cache.isGood(entry)) {
        if (entry.value.kind === 'bypass') return { kind: 'uncacheable', code: entry.value.reason };
        if (entry.value.kind === 'response') return { kind: 'kept', key, stored: entry.value };
      }
      const running = this.#firsts.get(key);
      if (running) {
        await running;
        continue;
      }
      const first = compute(app, asking).finally(() => this.#firsts.delete(key));
      this.#firsts.set(key, first);
      return first;
    }
    return compute(app, asking);
  }

  #answer(request: FastifyRequest, reply: FastifyReply, following: Following, first: Computed): void {
    if (reply.raw.closed) return;
    const opening = this.#isClosing ? RESTARTS : this.#decide(following, first);
    switch (opening.kind) {
      case 'follow':
        this.#follow(request, reply, following, opening);
        return;
      case 'pass on':
        reply.hijack();
        writeRepeated(reply.raw, opening.answer);
        return;
      case 'refuse':
        this.#refuse(reply, opening.status, opening.detail);
        return;
      default:
        opening satisfies never;
    }
  }

  #decide(following: Following, first: Computed): Opening {
    const { asking, baseKey, caller } = following;
    switch (first.kind) {
      case 'closing':
        return RESTARTS;
      case 'uncacheable':
        return cannot(`it is not kept (${first.code})`);
      case 'failed':
        return this.#findStale(following) ?? { kind: 'pass on', answer: first.answer };
      case 'refused':
        return { kind: 'pass on', answer: first.answer };
      case 'passing':
        if (first.stored?.position === UNKNOWN_POSITION)
          return { kind: 'refuse', status: 503, detail: 'The database went away while the answer was computed.' };
        return first.stored
          ? { kind: 'follow', stored: first.stored, key: undefined, isCurrent: false }
          : { kind: 'refuse', status: 503, detail: `The answer could not be computed: ${first.code}.` };
      case 'kept': {
        const { key, stored } = first;
        const isMine = isFor(stored, (facet) => facetValue(facet, asking.headers, caller));
        if (isMine && (key === baseKey || key.startsWith(`${baseKey}\u0000`)))
          return { kind: 'follow', stored, key, isCurrent: true };
        return cannot('the application sees another URL, or other fields, than were sent');
      }
    }
  }

  /** What may still be shown while the answer can't be computed. */
  #findStale({ baseKey, asking, caller, carried, options }: Following): Opening | undefined {
    const { cache } = this.#settings;
    const { key, entry } = walk(cache, baseKey, asking, caller);
    if (carried || entry?.value.kind !== 'response' || cache.staleMs(entry) > options.staleIfErrorMs) return undefined;
    return { kind: 'follow', stored: entry.value, key, isCurrent: false };
  }

  #follow(request: FastifyRequest, reply: FastifyReply, following: Following, opening: Follow): void {
    const { stored, key, isCurrent } = opening;
    if (stored.status !== 200 && stored.status !== 203) {
      reply.hijack();
      const own = this.#settings.tokens.own(following.carried, stored);
      const [fields, acceptable] = [readSendingFields([]), acceptableCodings(undefined)];
      const status = 'vazao; hit; detail="no stream"';
      writeStoredResponse(stored, request.method, fields, acceptable, reply.raw, status, own);
      return;
    }
    const frame = this.#topics.frameOf(stored);
    if (!frame) {
      this.#refuse(reply, 406, "This answer can't be followed: it is no text in UTF-8.");
      return;
    }
    reply.hijack();
    const head = this.#head(stored);
    // Its end ends the connection.
    if (request.raw.httpVersionMajor < 2) head.push('connection', 'close');
    reply.raw.writeHead(200, head);
    if (request.method === 'HEAD') {
      reply.raw.end();
      return;
    }
    reply.raw.flushHeaders();
    const { asking, baseKey, caller, carried, last, options } = following;
    const isKnown = carried && carried.position !== UNKNOWN_POSITION;
    const stream = new LiveStream(reply.raw, { asking, baseKey, caller }, (drained) => this.#topics.drained(drained));
    if (!isCurrent) stream.floor = max(isKnown ? carried.position : 0n, stored.position);
    this.#watch(stream, reply);
    this.#begin(stream, frame, last);
    const at = key ?? walk(this.#settings.cache, baseKey, asking, caller).key;
    this.#topics.attach(stream, at, options, isCurrent ? frame : undefined);
  }

  #watch(stream: LiveStream, reply: FastifyReply): void {
    this.#streams.add(stream);
    const still = this.#pulse.add(stream);
    reply.raw.once('close', () => {
      stream.isClosed = true;
      still();
      this.#streams.delete(stream);
      this.#topics.detach(stream);
    });
  }

  /** A client that comes back and has seen this state already is told only when there is another. */
  #begin(stream: LiveStream, frame: Frame, last: LastEvent | undefined): void {
    stream.cork(() => {
      stream.whisper(createRetryFrame(this.#retryMs()));
      if (last?.mark === frame.mark) stream.mark = frame.mark;
      else this.#topics.send(stream, frame);
    });
    this.#topics.slow.add(stream);
  }

  /** What hooks said of the answer (who may read it across origins, say) holds for the stream, too. */
  #head({ head, facets }: StoredResponse): string[] {
    const fields: string[] = [];
    for (let i = 0; i < head.length; i += 2) {
      const name = head[i] as string;
      if (!OF_BODY.has(name)) fields.push(name, head[i + 1] as string);
    }
    const { headers: identityHeaders } = this.#settings.identities;
    const vary = new Set(['accept', ...facets.flatMap(([facet]) => varyOf(facet, identityHeaders))]);
    fields.push('content-type', EVENT_STREAM, 'cache-control', 'no-store, no-transform');
    fields.push('vary', [...vary].join(', '), 'x-accel-buffering', 'no');
    return fields;
  }

  /** In milliseconds, so spread that not all come back at once. */
  #retryMs(): number {
    const spreadMs = Math.max(RETRY_SPREAD_MS, (this.#streams.size / RETURNS_PER_S) * 1_000);
    return Math.round(RETRY_MIN_MS + this.#options.random() * spreadMs);
  }

  #refuse(reply: FastifyReply, status: 406 | 429 | 503, detail: string): void {
    const title = { 406: 'Not Acceptable', 429: 'Too Many Requests', 503: 'Service Unavailable' }[status];
    if (status !== 406) reply.header('retry-after', String(Math.ceil(this.#retryMs() / 1_000)));
    reply.code(status).header('cache-control', 'no-store').type('application/problem+json');
    reply.send(JSON.stringify({ type: 'about:blank', title, status, detail }));
  }
}

function cannot(why: string): Opening {
  return { kind: 'refuse', status: 406, detail: `This answer can't be followed: ${why}.` };
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function later(a: CarriedPosition | undefined, b: CarriedPosition | undefined): CarriedPosition | undefined {
  if (!a || !b) return a ?? b;
  return b.position > a.position ? b : a;
}
