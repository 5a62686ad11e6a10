/**
 * A request that is run again, through the whole application. Only GET, which is safe to repeat (RFC 9110, 9.2.1).
 *
 *   past the cache, for itself    to compare its answer with one from the cache (`audit`), or because a replica could not go
 *                                 on in the middle of it (`replica-conflict`)
 *   as any other request          for streams that follow an answer (`live`), or ahead of its next reader (`refresh`, and
 *                                 `early` where the answer is still good); its answer is shared and kept, and it is never
 *                                 told anything stale
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance, LightMyRequestResponse } from 'fastify';
import type { NotStored } from '../cache/index.ts';
import { runWithoutContext } from '../db/index.ts';
import { POSITION_HEADER } from './position-token.ts';
import type { StoredResponse } from './stored-response.ts';

/** What was found, told by whoever answered. */
export interface Recomputed {
  readonly key: string;
  readonly stored: StoredResponse;
  readonly position: bigint;
  /** Why it was not kept; undefined also where another request led the fill. */
  readonly notStored: NotStored | undefined;
}

export interface Repeat {
  readonly code: 'audit' | 'replica-conflict' | 'live' | 'refresh' | 'early';
  readonly detail: string;
  recomputed?: Recomputed | undefined;
}

/** The repetition goes past the cache, and its answer is for nobody else. */
export function isAlone({ code }: Repeat): boolean {
  return code === 'audit' || code === 'replica-conflict';
}

/** What a request asks, kept to ask it again when its client has long been answered. */
export interface Asking {
  readonly url: string;
  /** As Node gives them, without those of the connection. */
  readonly headers: IncomingHttpHeaders;
  readonly remoteAddress: string | undefined;
}

const storage = new AsyncLocalStorage<Repeat>();

/** Set in a request that is such a repetition. */
export function currentRepeat(): Repeat | undefined {
  return storage.getStore();
}

/** Fields that belong to the connection of the first request. */
const OF_CONNECTION = new Set(['connection', 'content-length', 'keep-alive', 'transfer-encoding', 'upgrade']);

/**
 * @param leftOut - names, in lower case, of fields that are not repeated
 * @returns the answer; undefined while the application closes
 */
export function repeatRequest(
  app: FastifyInstance,
  { url, rawHeaders, socket }: Pick<IncomingMessage, 'url' | 'rawHeaders' | 'socket'>,
  repeat: Repeat,
  leftOut: ReadonlySet<string> = new Set(),
): Promise<LightMyRequestResponse | undefined> {
  const headers: Record<string, string | string[]> = {};
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase();
    if (OF_CONNECTION.has(name) || leftOut.has(name)) continue;
    const value = rawHeaders[i + 1] as string;
    const before = headers[name];
    headers[name] = before === undefined ? value : [before, value].flat();
  }
  return ask(app, { url: url as string, headers, remoteAddress: socket.remoteAddress }, repeat);
}

/** Fields that ask for a form of the answer that is not kept, or for none. */
const OF_FORM = new Set([
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'range',
  POSITION_HEADER,
]);

/** What a reader asks, to compute the same answer for the next. */
export function toAsking(request: Pick<IncomingMessage, 'url' | 'headers' | 'socket'>): Asking {
  return keepAsking(request, OF_FORM);
}

/** Keeps what a request asks, without some of its fields. */
export function keepAsking(
  { url, headers, socket }: Pick<IncomingMessage, 'url' | 'headers' | 'socket'>,
  leftOut: ReadonlySet<string>,
): Asking {
  const kept: IncomingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    if (!OF_CONNECTION.has(name) && !leftOut.has(name)) kept[name] = value;
  }
  return { url: url as string, headers: kept, remoteAddress: socket.remoteAddress };
}

/** @returns the answer; undefined while the application closes */
export async function ask(
  app: FastifyInstance,
  { url, headers, remoteAddress }: Asking,
  repeat: Repeat,
): Promise<LightMyRequestResponse | undefined> {
  const request = {
    method: 'GET',
    url,
    // Named, so that none is made up: it may be part of the key.
    headers: { 'user-agent': undefined, ...headers } as Record<string, string | string[]>,
    ...(remoteAddress !== undefined && { remoteAddress }),
  } as const;
  try {
    // Awaited inside: it is injected when it is waited for.
    return await runWithoutContext(() => storage.run(repeat, async () => await app.inject(request)));
  } catch {
    return undefined;
  }
}

/** Writes the answer of a repetition as that of the first request. */
export function writeRepeated(response: ServerResponse, answer: LightMyRequestResponse): void {
  for (const [name, value] of Object.entries(answer.headers)) {
    if (value !== undefined && name !== 'date' && !(OF_CONNECTION.has(name) && name !== 'content-length'))
      response.setHeader(name, value);
  }
  response.writeHead(answer.statusCode);
  response.end(answer.rawPayload);
}
