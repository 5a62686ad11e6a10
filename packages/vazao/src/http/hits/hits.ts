/** Whether a request has its answer in the cache, and what is kept of a hit. Asked by all who answer hits. */
import type { IncomingMessage } from 'node:http';
import type { Entry } from '../../cache/index.ts';
import type { AnswerCounts } from '../answer-counts.ts';
import type { Auditor } from '../auditor.ts';
import { EVENT_STREAM } from '../live/index.ts';
import type { CacheValue, Found, HttpCache } from '../lookup.ts';
import type { PluginFeed } from '../options.ts';
import type { OwnFields, PositionTokens } from '../position-token.ts';
import type { Refresher } from '../refresh/index.ts';
import { toAsking } from '../repeat.ts';
import type { Compression } from '../sending/compression.ts';
import { type Acceptable, acceptableCodings } from '../sending/content-coding.ts';
import { readSendingFields, type SendingFields } from '../sending/preconditions.ts';
import type { StoredResponse } from '../stored-response.ts';

export interface HitsOptions {
  readonly answers: AnswerCounts;
  readonly cache: HttpCache;
  readonly tokens: PositionTokens;
  readonly feed: Pick<PluginFeed, 'position'>;
  readonly auditor: Auditor | undefined;
  /** Told of hits whose answers have a time to live. */
  readonly refresher: Refresher | undefined;
  readonly compression: Compression;
  /** Who asks for a stream of events gets one, and not the answer. */
  readonly followsAnswers: boolean;
}

/** What of a request a hit is answered by. */
export type HitRequest = Pick<IncomingMessage, 'url' | 'rawHeaders' | 'headers' | 'socket'>;

export interface Hit {
  readonly entry: Entry<CacheValue>;
  readonly stored: StoredResponse;
  readonly fields: SendingFields;
  readonly acceptable: Acceptable;
  /** Fields for this client. */
  readonly own: OwnFields | undefined;
}

export class Hits {
  readonly #options: HitsOptions;

  constructor(options: HitsOptions) {
    this.#options = options;
  }

  /** Undefined where Fastify has to look further. Changes nothing. */
  find({ entry }: Found, rawHeaders: readonly string[]): Hit | undefined {
    const { cache, tokens, feed, followsAnswers } = this.#options;
    if (entry?.value.kind !== 'response' || !cache.isFresh() || !cache.isGood(entry)) return undefined;
    const carried = tokens.find(rawHeaders);
    // A reader that has seen what the feed has not told yet: Fastify's way waits for it.
    if (carried && carried.position > feed.position) return undefined;
    const { value: stored } = entry;
    const fields = readSendingFields(rawHeaders);
    if (followsAnswers && fields.accept?.includes(EVENT_STREAM)) return undefined;
    const acceptable = acceptableCodings(fields.acceptEncoding);
    // Who refuses the body as it is may have to wait for another.
    if (stored.codings && !acceptable.includes('identity')) return undefined;
    return { entry, stored, fields, acceptable, own: tokens.own(carried, stored) };
  }

  /**
   * To be called for each hit, when it was written. It is counted and not logged: the two lines that Fastify writes of a request
   * took 13 µs (100,000 of them through `runtime/log.ts` into a pipe), beside 9 µs for the hit, and `info` is the level in production.
   */
  note({ entry, stored, acceptable }: Hit, status: number, request: HitRequest): void {
    const { answers, compression, refresher, auditor } = this.#options;
    entry.hits++;
    answers.add('hit', status);
    compression.noteHit(stored, acceptable);
    if (refresher && entry.expiresAtMs !== Number.POSITIVE_INFINITY) refresher.onHit(entry, () => toAsking(request));
    auditor?.sample(entry, request);
  }
}
