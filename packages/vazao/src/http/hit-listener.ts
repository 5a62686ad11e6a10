/**
 * Hits, decided before routing: a look-up, a comparison, and the finished bytes.
 *
 * It takes the place of Fastify's listener on the server and hands everything on that is not a hit. What a hook of the
 * application would have read of the request is part of the key, so a hit is an answer that those hooks let through.
 */
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { AnswerCounts } from './answer-counts.ts';
import type { Auditor } from './auditor.ts';
import type { HitStatus } from './cache-status.ts';
import type { Identities } from './identities.ts';
import { EVENT_STREAM } from './live/index.ts';
import { type Found, type HttpCache, lookUp } from './lookup.ts';
import type { PluginFeed } from './options.ts';
import type { PositionTokens } from './position-token.ts';
import type { Spellings } from './query-form.ts';
import type { Refresher } from './refresh/index.ts';
import { toAsking } from './repeat.ts';
import type { Compression } from './sending/compression.ts';
import { acceptableCodings } from './sending/content-coding.ts';
import { readSendingFields } from './sending/preconditions.ts';
import { writeStoredResponse } from './sending/write-stored.ts';
import type { RequestTimings } from './timing/index.ts';

export interface HitListenerOptions {
  readonly answers: AnswerCounts;
  readonly cache: HttpCache;
  readonly identities: Identities;
  readonly hitStatus: HitStatus;
  readonly tokens: PositionTokens;
  readonly feed: Pick<PluginFeed, 'position'>;
  readonly auditor: Auditor | undefined;
  /** Told of hits whose answers have a time to live. */
  readonly refresher: Refresher | undefined;
  readonly timings: RequestTimings;
  readonly compression: Compression;
  readonly spellings: Spellings;
  /** While the server closes, Fastify answers everything: it tells the clients to go. */
  readonly isClosing: () => boolean;
  /** False: a HEAD route is the application's own, and so is its answer. */
  readonly answersHead: boolean;
  /** Who asks for a stream of events gets one, and not the answer. */
  readonly followsAnswers: boolean;
}

export function installHitListener(server: Server | object, options: HitListenerOptions): void {
  const emitter = server as Server;
  const others = emitter.listeners('request') as RequestListener[];
  emitter.removeAllListeners('request');
  const handOn = (request: IncomingMessage, response: ServerResponse): void => {
    for (const listener of others) listener.call(emitter, request, response);
  };
  const { cache, identities, hitStatus, tokens, feed, auditor, refresher, timings, compression, spellings } = options;
  const { isClosing, answersHead, followsAnswers, answers } = options;

  const answer = (found: Found, request: IncomingMessage, response: ServerResponse): boolean => {
    const { entry } = found;
    if (entry?.value.kind !== 'response' || !cache.isFresh() || !cache.isGood(entry)) return false;
    const { rawHeaders } = request;
    const carried = tokens.find(rawHeaders);
    // A reader that has seen what the feed has not told yet: Fastify's way waits for it.
    if (carried && carried.position > feed.position) return false;
    const { value: stored } = entry;
    const fields = readSendingFields(rawHeaders);
    if (followsAnswers && fields.accept?.includes(EVENT_STREAM)) return false;
    const acceptable = acceptableCodings(fields.acceptEncoding);
    // Who refuses the body as it is may have to wait for another.
    if (stored.codings && !acceptable.includes('identity')) return false;
    const own = tokens.own(carried, stored);
    timings.onHit(request, response);
    writeStoredResponse(stored, request.method, fields, acceptable, response, hitStatus.text, own);
    entry.hits++;
    answers.add('hit', response.statusCode);
    compression.noteHit(stored, acceptable);
    if (refresher && entry.expiresAtMs !== Number.POSITIVE_INFINITY) refresher.onHit(entry, () => toAsking(request));
    auditor?.sample(entry, request);
    return true;
  };

  emitter.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if ((request.method !== 'GET' && !(answersHead && request.method === 'HEAD')) || isClosing())
      return handOn(request, response);
    const url = request.url as string;
    const found = lookUp(cache, spellings.find(url) ?? url, request, identities);
    if (!(found instanceof Promise)) {
      if (!answer(found, request, response)) handOn(request, response);
      return;
    }
    // `identify` must not throw; if it does, Fastify's way meets the same error and answers it.
    found.then(
      (later) => {
        // Between the walk and this turn the entry may have been dropped, and a dropped entry does not know it.
        if (cache.get(later.key) !== later.entry || !answer(later, request, response)) handOn(request, response);
      },
      () => handOn(request, response),
    );
  });
}
