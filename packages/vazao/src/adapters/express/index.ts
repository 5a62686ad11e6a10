/** Cached GET routes for Express 5: `vazao/express`. */
export type { RouteOptions } from '../route-reads.ts';
export { cached, type ExpressHandler, type ExpressRequest } from './express.ts';
