/** The library's face: what an application imports. */

export type { Duration } from './cache/index.ts';
export type { DeclaredFunction } from './db/index.ts';
export type { Identify, Identity, RouteCacheOptions } from './http/options.ts';
export { type Application, type ApplicationContext, defineApplication, type Progress } from './runtime/application.ts';
