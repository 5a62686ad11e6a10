/** Cached GET routes for Hono: `vazao/hono`. */
export type { RouteOptions } from '../route-reads.ts';
export { cached, type HonoContext, type HonoHandler } from './hono.ts';
