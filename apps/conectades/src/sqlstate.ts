import type { ErrorCode } from './errors.ts';

/** What PostgreSQL's codes mean to a client. A key of two characters stands for its whole class. */
const CODE_BY_SQLSTATE: Readonly<Record<string, ErrorCode>> = {
  '08': 'indisponivel', // connection exception
  '22001': 'valor_recusado', // string too long
  '22003': 'valor_recusado', // number out of range
  '22008': 'valor_recusado', // date out of range
  '22021': 'requisicao_invalida', // character not in the encoding
  '22P02': 'requisicao_invalida', // text does not read as the type
  '22P05': 'requisicao_invalida', // character without translation
  '23502': 'valor_recusado', // not null
  '23503': 'referencia_inexistente', // foreign key
  '23505': 'registro_duplicado', // unique
  '23514': 'valor_recusado', // check
  '25006': 'indisponivel', // read only: a failover is under way
  '25P03': 'indisponivel', // a transaction stood open without a statement for too long
  '25P04': 'indisponivel', // a transaction took too long
  '40': 'indisponivel', // serialization failure, deadlock: retried before (transaction.ts)
  '53': 'indisponivel', // out of connections, memory or disk
  '55P03': 'indisponivel', // lock not available
  '57': 'indisponivel', // cancelled by time-out, shutting down, not yet accepting
};

const NETWORK_CODES: readonly string[] = [
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
];

/** `pg` and `pg-pool` raise these without any code. */
const CONNECTION_MESSAGES: readonly RegExp[] = [
  /^Connection terminated/,
  /^timeout exceeded when trying to connect/,
  /^timeout expired/,
  /^Query read timeout/,
  /^Client has encountered a connection error/,
  /^Cannot use a pool after calling end/,
];

export function findCodeBySqlState(error: unknown): ErrorCode | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  if (code !== undefined) {
    if (NETWORK_CODES.includes(code)) return 'indisponivel';
    return /^[0-9A-Z]{5}$/.test(code) ? (CODE_BY_SQLSTATE[code] ?? CODE_BY_SQLSTATE[code.slice(0, 2)]) : undefined;
  }
  return CONNECTION_MESSAGES.some((pattern) => pattern.test(error.message)) ? 'indisponivel' : undefined;
}

/** Failures after which the same transaction, run again, may succeed. Nothing of it was committed. */
export function isWorthRetrying(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === '40001' || error.code === '40P01');
}
