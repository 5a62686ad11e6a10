/** Errors that say that a bound was reached, of Fastify, of the pool and of PostgreSQL, as refusals. */
import { type Refusal, type RefusalCode, refusal } from './refusal.ts';

const CODES: Readonly<Record<string, RefusalCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'ERR_LIMIT_BODY',
  FST_ERR_MAX_PARAM_LENGTH: 'ERR_LIMIT_URL',
  FST_ERR_HANDLER_TIMEOUT: 'ERR_LIMIT_SLOW_ANSWER',
  ERR_DB_POOL_BUSY: 'ERR_LIMIT_DATABASE',
  ERR_DB_REPLICA_CONFLICT: 'ERR_LIMIT_DATABASE',
  /** query_canceled: the statement time-out. */
  '57014': 'ERR_LIMIT_SLOW_ANSWER',
  /** transaction_timeout. */
  '25P04': 'ERR_LIMIT_SLOW_ANSWER',
  /** idle_in_transaction_session_timeout. */
  '25P03': 'ERR_LIMIT_SLOW_ANSWER',
  /** lock_not_available: the lock time-out. */
  '55P03': 'ERR_LIMIT_DATABASE',
  /** too_many_connections. */
  '53300': 'ERR_LIMIT_DATABASE',
};

/** Undefined when the error is none of these. */
export function refusalOf(error: { readonly code?: unknown }, retryAfter: () => number): Refusal | undefined {
  const code = typeof error?.code === 'string' && Object.hasOwn(CODES, error.code) ? CODES[error.code] : undefined;
  if (!code) return undefined;
  const refused = refusal(code);
  return refused.status === 503 ? { ...refused, retryAfter: retryAfter() } : refused;
}
