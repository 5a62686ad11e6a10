/**
 * Refresh tokens, in PostgreSQL: each is used once and gives the next of its family (RFC 9700, 4.14).
 *
 *   issue ──► current ──rotate──► used (its successor is current) ──rotate again──► the whole family is gone
 *
 * Who presents a token that was used is a thief, or the victim of one: which of the two can't be told, so both log in again.
 * A token is 256 random bits, and only its hash is stored.
 */
import { createHash, randomBytes } from 'node:crypto';
import { apart } from './apart.ts';
import { SecurityError } from './errors.ts';
import { type Statements, startCleaning } from './tables.ts';

export interface RefreshTokensOptions {
  readonly db: Statements;
  /** How long a token holds that is not used, in seconds. @defaultValue 7 days */
  readonly idleS?: number | undefined;
  /** How long a family holds, however often it is renewed, in seconds. @defaultValue 30 days */
  readonly absoluteS?: number | undefined;
  /** How many families a subject may have; the oldest gives way. @defaultValue 20 */
  readonly familiesMax?: number | undefined;
  /** Told when cleaning failed; it is tried again. */
  readonly onProblem?: ((error: Error) => void) | undefined;
}

export interface RefreshTokens {
  /** The first token of a new family, for who has logged in. */
  issue(subject: string): Promise<string>;
  /**
   * Uses a token up and gives its successor. Throws {@link SecurityError} `ERR_SECURITY_REFRESH_TOKEN` (401) when it does not
   * hold; `reused` then tells that it had been used, and that its family was revoked.
   */
  rotate(token: string): Promise<{ readonly subject: string; readonly token: string }>;
  /** Revokes the family of a token, as at log-out. A token that does not hold is no error. */
  revoke(token: string): Promise<void>;
  /** Revokes all families of a subject. */
  revokeAll(subject: string): Promise<void>;
  /** Removes a batch of what has expired, and tells how many; done by itself once a minute. */
  clean(): Promise<number>;
  /** Stops the cleaning. */
  close(): void;
}

export class RefreshTokenError extends SecurityError {
  /** The token had been used before: it was stolen from its owner, or by him who used it first. */
  readonly reused: boolean;

  constructor(reused: boolean) {
    super('ERR_SECURITY_REFRESH_TOKEN', 'The refresh token does not hold. Log in again.');
    this.reused = reused;
  }
}

const DAY_S = 86_400;
const BATCH_MAX = 1_000;
const TABLE = 'vazao.refresh_tokens';
/** Needs {@link createSecurityTables}. */
export function createRefreshTokens(options: RefreshTokensOptions): RefreshTokens {
  const { db, idleS = 7 * DAY_S, absoluteS = 30 * DAY_S, familiesMax = 20, onProblem = () => {} } = options;
  const query: Statements['query'] = ((text: string, values?: unknown[]) =>
    apart(() => db.query(text, values))) as Statements['query'];
  const tokens: RefreshTokens = {
    async issue(subject) {
      const token = createToken();
      await query(
        `with family as (
           insert into ${TABLE} (token_hash, family, subject, expires_at, ends_at)
           select $1, gen_random_uuid(), $2, least(idle, absolute), absolute
           from (select now() + make_interval(secs => $3) as idle, now() + make_interval(secs => $4) as absolute) t
         )
         delete from ${TABLE} where subject = $2 and family in (
           select family from ${TABLE} where subject = $2 group by family order by min(created_at) desc offset $5)`,
        [hashOf(token), subject, idleS, absoluteS, familiesMax - 1],
      );
      return token;
    },
    async rotate(token) {
      const next = createToken();
      // One statement: of two that present the same token, one finds it unused.
      const { rows } = await query<{ subject: string }>(
        `with used as (
           update ${TABLE} set used_at = now()
           where token_hash = $1 and used_at is null and expires_at > now() returning family, subject, ends_at
         )
         insert into ${TABLE} (token_hash, family, subject, expires_at, ends_at)
         select $2, family, subject, least(now() + make_interval(secs => $3), ends_at), ends_at from used
         returning subject`,
        [hashOf(token), hashOf(next), idleS],
      );
      if (rows[0]) return { subject: rows[0].subject, token: next };
      const { rowCount } = await query(
        `delete from ${TABLE}
         where family = (select family from ${TABLE} where token_hash = $1 and used_at is not null)`,
        [hashOf(token)],
      );
      throw new RefreshTokenError((rowCount ?? 0) > 0);
    },
    async revoke(token) {
      await query(`delete from ${TABLE} where family = (select family from ${TABLE} where token_hash = $1)`, [
        hashOf(token),
      ]);
    },
    async revokeAll(subject) {
      await query(`delete from ${TABLE} where subject = $1`, [subject]);
    },
    async clean() {
      // A used token stays until its family ends, so that who presents it late is still noticed.
      const { rowCount } = await query(
        `delete from ${TABLE} where token_hash in (
           select token_hash from ${TABLE} where ends_at < now() limit ${BATCH_MAX} for update skip locked)`,
      );
      return rowCount ?? 0;
    },
    close: startCleaning(() => tokens.clean(), BATCH_MAX, onProblem),
  };
  return tokens;
}

function createToken(): string {
  return randomBytes(32).toString('base64url');
}

/** A fast hash is enough: nobody guesses 256 random bits. */
function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
