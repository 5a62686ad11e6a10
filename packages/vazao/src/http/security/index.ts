/** Security in the box: tokens, refresh tokens, passwords. */
export { SecurityError, type SecurityErrorCode } from './errors.ts';
export { createPasswords, type PasswordCheck, type Passwords, type PasswordsOptions } from './passwords.ts';
export {
  createRefreshTokens,
  RefreshTokenError,
  type RefreshTokens,
  type RefreshTokensOptions,
} from './refresh-tokens.ts';
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
