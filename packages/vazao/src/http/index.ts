/** Cached routes for Fastify. */

export type { Duration } from '../cache/index.ts';
export type { AnswerFigures, AnswerKind } from './answer-counts.ts';
export type { AuditFigures } from './auditor.ts';
export { HttpError, type HttpErrorCode } from './errors.ts';
export type { ExplainedAnswer, ExplainedEntry, Explanation } from './explain.ts';
export {
  type AdmissionLimits,
  attachCounter,
  createChannelStore,
  createPostgresStore,
  createRedisStore,
  type HttpLimits,
  InsuredStore,
  type InsuredStoreOptions,
  type LimitsFigures,
  type LimitsOptions,
  limitsPlugin,
  MemoryStore,
  parseRate,
  type Rate,
  type RateLimits,
  type RatePolicy,
  type RateStore,
  type Refusal,
  type RefusalCode,
  type RefusalPage,
  type RequestClass,
  type ServerBounds,
  serverOptions,
} from './limits/index.ts';
export type { LiveFigures, LiveOptions } from './live/index.ts';
export type { CacheValue, HttpCache } from './lookup.ts';
export { isFromLoopback } from './loopback.ts';
export type { Identify, Identity, PluginFeed, RouteCacheOptions } from './options.ts';
export { vazaoPlugin } from './plugin.ts';
export type { PluginOptions } from './plugin-options.ts';
export type { RefreshFigures, RefreshOptions } from './refresh/index.ts';
export type { HttpSecondTier } from './second-tier.ts';
export { createTimingToken, type RequestEvent, requestChannel, type TimingOptions } from './timing/index.ts';
export { valueCodec } from './value-codec.ts';
