/** Pools that know which fill they serve and where their writes are in PostgreSQL's log. */
export type { DeclaredFunction } from '../readset/index.ts';
export type { Effect } from './analysis.ts';
export {
  currentContext,
  enterContext,
  runInContext,
  runWithoutContext,
  stage,
  trackWrites,
  type WorkContext,
} from './context.ts';
export { PoolBusyError, ReplicaConflictError } from './errors.ts';
export type { FillCare } from './fill-care.ts';
export type { FillSession } from './fill-session.ts';
export { type LeaderLockOptions, PostgresLeaderLock } from './leader-lock.ts';
export { loadCatalog } from './load-catalog.ts';
export { LooseSession } from './loose-session.ts';
export { Pool, type PoolCache, type PoolOptions } from './pool.ts';
export type { PoolBounds } from './pool-bounds.ts';
export { judgeReplica, LAG_MAX_MS, type ReplicaFigures, type ReplicaRefusal } from './replica.ts';
export { probeReplica } from './replica-probe.ts';
export type { Schema } from './schema.ts';
export { type Stage, Stages, type TimedStatement } from './stages.ts';
export { createTraceContext, type TraceContext, traceHeaders } from './trace-context.ts';
