/** What the plugin knows of a request and of its route, kept on Fastify's own objects. */
import type { WorkContext } from '../db/index.ts';
import type { KnownIdentity } from './identities.ts';
import type { Observation } from './observation.ts';
import type { ResolvedRouteCacheOptions } from './route-options.ts';

export interface RequestState {
  readonly context: WorkContext;
  caller: KnownIdentity | undefined;
  observation: Observation | undefined;
}

export const STATE: unique symbol = Symbol('vazao.state');
export const ROUTE: unique symbol = Symbol('vazao.route');

declare module 'fastify' {
  interface FastifyContextConfig {
    [ROUTE]?: ResolvedRouteCacheOptions;
  }
  interface FastifyRequest {
    [STATE]: RequestState | null;
  }
}
