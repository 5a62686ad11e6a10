/** Sessions by cookie, in PostgreSQL or Redis. */
export { createPostgresSessionStore, type PostgresSessionStoreOptions } from './postgres-store.ts';
export { createRedisSessionStore, type RedisCommands, type RedisSessionStoreOptions } from './redis-store.ts';
export { type RequestSession, registerSessions } from './request-session.ts';
export { Sessions, type SessionsOptions } from './sessions.ts';
export type { ListedSession, SessionData, SessionLifetimes, SessionStore, StoredSession } from './store.ts';
