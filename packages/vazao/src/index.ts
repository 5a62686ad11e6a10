/** The library's face: what an application imports. */
export type { DeclaredFunction } from './db/index.ts';
export type { Duration, Identify, Identity, RouteCacheOptions } from './http/options.ts';
export { type Application, type ApplicationContext, defineApplication, type Progress } from './runtime/application.ts';
