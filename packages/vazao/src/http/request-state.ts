/** What the plugin knows of a request and of its route, kept on Fastify's own objects. */
import type { WorkContext } from '../db/index.ts';
import type { KnownIdentity } from './identities.ts';
import type { Observation } from './observation.ts';
import type { CarriedPosition } from './position-token.ts';
import type { QueryForm } from './query-form.ts';
import type { ResolvedRouteCacheOptions } from './route-options.ts';

export interface RequestState {
  context: WorkContext;
  /** The work that made this request (`app.inject` in a handler): what is written here, it has written. */
  readonly outer: WorkContext | undefined;
  /** How many listened for the end of the request when it came. */
  readonly closeListeners: number;
  caller: KnownIdentity | undefined;
  /** Its answer is what `Cache-Status` calls a hit. */
  isHit: boolean;
  /** What the client carries, of a request that passes the cache by. */
  carried: CarriedPosition | undefined;
  observation: Observation | undefined;
  /** Of a request that leads a fill: its client left before the handler began, and whoever waits looks again. */
  forsake: (() => void) | undefined;
}

export interface CachedRoute extends ResolvedRouteCacheOptions {
  /** Tells routes of the same URL apart: those with constraints. */
  readonly id: number;
  /** Undefined: each spelling of the query has an answer of its own. */
  readonly queryForm: QueryForm | undefined;
}

export const STATE: unique symbol = Symbol('vazao.state');
export const ROUTE: unique symbol = Symbol('vazao.route');

declare module 'fastify' {
  interface FastifyContextConfig {
    [ROUTE]?: CachedRoute;
  }
  interface FastifyRequest {
    [STATE]: RequestState | null;
  }
}
