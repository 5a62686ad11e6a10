/** Security in the box: headers, requests of other sites, sessions, tokens, refresh tokens, passwords. */
export type { CrossOriginOptions } from './cross-origin.ts';
export { SecurityError, type SecurityErrorCode } from './errors.ts';
export type { HeadersOptions, PolicyDirectives } from './headers.ts';
export {
  createPasswordRules,
  type PasswordProblem,
  type PasswordRules,
  type PasswordRulesOptions,
} from './password-rules.ts';
export { createPasswords, type PasswordCheck, type Passwords, type PasswordsOptions } from './passwords.ts';
export { type SecurityOptions, securityPlugin } from './plugin.ts';
export {
  createRefreshTokens,
  RefreshTokenError,
  type RefreshTokens,
  type RefreshTokensOptions,
} from './refresh-tokens.ts';
export {
  createPostgresSessionStore,
  createRedisSessionStore,
  type ListedSession,
  type PostgresSessionStoreOptions,
  type RedisCommands,
  type RedisSessionStoreOptions,
  type RequestSession,
  type SessionData,
  type SessionLifetimes,
  type SessionStore,
  Sessions,
  type SessionsOptions,
  type StoredSession,
} from './sessions/index.ts';
export { createSecurityTables } from './tables.ts';
export {
  createTokens,
  deriveTokenKey,
  identifyByToken,
  type TokenAlgorithm,
  type TokenClaims,
  type TokenKey,
  type Tokens,
  type TokensOptions,
} from './tokens.ts';
export { answerUnroutable } from './unroutable.ts';
