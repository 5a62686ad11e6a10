/**
 * A request that is run again, past the cache and through the whole application: to compare its answer with one from the
 * cache, or because a replica could not go on in the middle of it. Only GET, which is safe to repeat (RFC 9110, 9.2.1).
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance, LightMyRequestResponse } from 'fastify';
import { runWithoutContext } from '../db/index.ts';
import type { StoredResponse } from './stored-response.ts';

/** What was found, told by the fill. */
export interface Recomputed {
  readonly key: string;
  readonly stored: StoredResponse;
  readonly position: bigint;
}

export interface Repeat {
  readonly code: 'audit' | 'replica-conflict';
  readonly detail: string;
  recomputed?: Recomputed | undefined;
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
export async function repeatRequest(
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
  const { remoteAddress } = socket;
  const request = {
    method: 'GET',
    url: url as string,
    headers,
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
