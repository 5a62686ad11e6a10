/**
 * Hits, decided before routing: a look-up, a comparison, and the finished bytes.
 *
 * It takes the place of Fastify's listener on the server and hands everything on that is not a hit. What a hook of the
 * application would have read of the request is part of the key, so a hit is an answer that those hooks let through.
 */
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { HitStatus } from '../cache-status.ts';
import type { Identities } from '../identities.ts';
import type { HttpLimits } from '../limits/index.ts';
import { type Found, lookUp } from '../lookup.ts';
import { isOwnListener, ownListener } from '../own-listeners.ts';
import type { Spellings } from '../query-form.ts';
import { writeStoredResponse } from '../sending/write-stored.ts';
import type { RequestTimings } from '../timing/index.ts';
import { answerBeforeParser } from './before-parser.ts';
import { Hits, type HitsOptions } from './hits.ts';

export interface HitListenerOptions extends HitsOptions {
  readonly identities: Identities;
  readonly hitStatus: HitStatus;
  readonly timings: RequestTimings;
  readonly spellings: Spellings;
  /** While the server closes, Fastify answers everything: it tells the clients to go. */
  readonly isClosing: () => boolean;
  /** False: a HEAD route is the application's own, and so is its answer. */
  readonly answersHead: boolean;
  readonly isRefused: HttpLimits['isRefused'];
}

export function installHitListener(server: Server | object, options: HitListenerOptions): void {
  const emitter = server as Server;
  const [fastify, ...rest] = emitter.listeners('request') as RequestListener[];
  const others = [fastify as RequestListener, ...rest.filter(isOwnListener)];
  emitter.removeAllListeners('request');
  const handOn = (request: IncomingMessage, response: ServerResponse): void => {
    for (const listener of others) listener.call(emitter, request, response);
  };
  const { cache, identities, hitStatus, timings, spellings, isClosing, answersHead } = options;
  const hits = new Hits(options);
  const noteParsed = answerBeforeParser(emitter, hits, options);

  const answer = (found: Found, request: IncomingMessage, response: ServerResponse): boolean => {
    const hit = hits.find(found, request.rawHeaders);
    if (!hit) return false;
    const { stored, fields, acceptable, own } = hit;
    timings.onHit(request, response);
    writeStoredResponse(stored, request.method, fields, acceptable, response, hitStatus.text, own);
    hits.note(hit, response.statusCode, request);
    return true;
  };

  const listen = (request: IncomingMessage, response: ServerResponse): void => {
    noteParsed(request, response);
    if ((request.method !== 'GET' && !(answersHead && request.method === 'HEAD')) || isClosing()) {
      handOn(request, response);
      return;
    }
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
  };
  emitter.on('request', ownListener(listen));
  for (const listener of rest) if (!isOwnListener(listener)) emitter.on('request', listener);
}
