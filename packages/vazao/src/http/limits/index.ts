/** What clients may take: room, requests, time, bytes. */
export { attachCounter, createChannelStore } from './channel-store.ts';
export { createPostgresStore, createRedisStore } from './flexible-store.ts';
export { InsuredStore, type InsuredStoreOptions } from './insured-store.ts';
export { MemoryStore } from './memory-store.ts';
export type { AdmissionLimits, LimitsOptions, RateLimits } from './options.ts';
export { limitsPlugin } from './plugin.ts';
export { parseRate, type Rate } from './rate.ts';
export type { RatePolicy, RateStore } from './rate-store.ts';
export type { Refusal, RefusalCode, RefusalPage } from './refusal.ts';
export type { RequestClass } from './request-class.ts';
export type { HttpLimits, LimitsFigures } from './request-limits.ts';
export { type ServerBounds, serverOptions } from './server-bounds.ts';
