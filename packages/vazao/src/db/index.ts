/** Pools that know which fill they serve and where their writes are in PostgreSQL's log. */
export type { DeclaredFunction } from '../readset/index.ts';
export type { Effect } from './analysis.ts';
export { currentContext, runInContext, runWithoutContext, trackWrites, type WorkContext } from './context.ts';
export { ReplicaConflictError } from './errors.ts';
export type { FillSession } from './fill-session.ts';
export { loadCatalog } from './load-catalog.ts';
export { Pool, type PoolOptions } from './pool.ts';
export type { ReplicaFigures } from './replica.ts';
