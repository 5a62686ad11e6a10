/**
 * Requests whose body arrives slowly. A place is for work, and to wait for a client is none: fifteen clients that each send a byte a
 * second would hold all places until their requests time out. So whoever has a place and not all of its body after a moment gives
 * the place back, and asks for another when the body is there. What has arrived meanwhile is held in memory, so they are few: one
 * too many is cut off with 408.
 */
import type { IncomingMessage } from 'node:http';
import { hasBody } from './refusal.ts';
import type { RequestLimits } from './request-limits.ts';
import { answerSlowRequest } from './server-bounds.ts';

const PATIENCE_MS = 100;

export class SlowBodies {
  readonly #max: number;
  readonly #arriving = new Set<RequestLimits>();
  /** Requests that were one too many. */
  cutOff = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Of a request that has just got its place. */
  watch(request: IncomingMessage, limits: RequestLimits): void {
    // Nobody waits for the body of one; and what is read of a cached request becomes part of its key.
    if (request.method === 'GET' || request.method === 'HEAD') return;
    if (!hasBody(request)) return;
    limits.arriving = setTimeout(() => {
      limits.arriving = undefined;
      if (request.complete || limits.isGone) return;
      limits.release?.();
      limits.release = undefined;
      if (this.#arriving.size < this.#max) {
        this.#arriving.add(limits);
        return;
      }
      this.cutOff++;
      answerSlowRequest(request.socket);
    }, PATIENCE_MS).unref();
  }

  /** The body is there, or will not be. Returns whether the request has given its place back. */
  end(limits: RequestLimits): boolean {
    clearTimeout(limits.arriving);
    limits.arriving = undefined;
    return this.#arriving.delete(limits);
  }
}
