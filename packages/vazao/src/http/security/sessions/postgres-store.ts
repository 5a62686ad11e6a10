/**
 * Sessions in PostgreSQL, in an unlogged table: a write costs no log, no feed hears of it, and a crash of the database logs
 * everybody out. The clock is the database's, one for all hosts.
 */
import { apart } from '../apart.ts';
import { type Statements, startCleaning } from '../tables.ts';
import { handleOf, LISTED_MAX, type SessionLifetimes, type SessionStore } from './store.ts';

export interface PostgresSessionStoreOptions extends SessionLifetimes {
  readonly db: Statements;
  /** Told when cleaning failed; it is tried again. */
  readonly onProblem?: ((error: Error) => void) | undefined;
}

/** Expired sessions are removed in batches of so many. */
export const CLEAN_BATCH_MAX = 1_000;

const ALIVE = 'seen_at > now() - make_interval(secs => $2) and created_at > now() - make_interval(secs => $3)';
const toMs = (time: string): string => `extract(epoch from ${time}) * 1000`;
const ENDS_AT = `${toMs('least(seen_at + make_interval(secs => $2), created_at + make_interval(secs => $3))')} as "endsAt"`;

/** Needs `createSecurityTables`. */
export function createPostgresSessionStore(
  options: PostgresSessionStoreOptions,
): SessionStore & { clean(): Promise<number> } {
  const { db, idleS, absoluteS, onProblem = () => {} } = options;
  const query: Statements['query'] = ((text: string, values: unknown[]) =>
    apart(() => db.query(text, values))) as Statements['query'];
  // The idle time is written down in steps of a tenth, so that a busy session costs few writes.
  const touchS = idleS / 10;
  const clean = async (): Promise<number> => {
    const { rowCount } = await query(
      `delete from vazao.sessions where id_hash in (
         select id_hash from vazao.sessions
         where seen_at <= now() - make_interval(secs => $1) or created_at <= now() - make_interval(secs => $2)
         limit ${CLEAN_BATCH_MAX} for update skip locked)`,
      [idleS, absoluteS],
    );
    return rowCount ?? 0;
  };
  return {
    async find(hash) {
      const { rows } = await query<{ claims: string | null; data: string; endsAt: string }>(
        `with touched as (
           update vazao.sessions set seen_at = now()
           where id_hash = $1 and ${ALIVE} and seen_at < now() - make_interval(secs => $4)
         )
         select claims, data, ${ENDS_AT} from vazao.sessions where id_hash = $1 and ${ALIVE}`,
        [hash, idleS, absoluteS, touchS],
      );
      const [row] = rows;
      return (
        row && {
          user: row.claims === null ? undefined : JSON.parse(row.claims),
          data: JSON.parse(row.data),
          endsAt: Number(row.endsAt),
        }
      );
    },
    async replace(old, hash, { user, data }) {
      const { rows } = await query<{ endsAt: string }>(
        `with gone as (delete from vazao.sessions where id_hash = $4)
         insert into vazao.sessions (id_hash, user_id, claims, data) values ($1, $5, $6, $7) returning ${ENDS_AT}`,
        [
          hash,
          idleS,
          absoluteS,
          old ?? null,
          user?.id ?? null,
          user ? JSON.stringify(user) : null,
          JSON.stringify(data),
        ],
      );
      return { endsAt: Number(rows[0]?.endsAt) };
    },
    async write(hash, data) {
      const { rowCount } = await query(
        `update vazao.sessions set data = $4, seen_at = now() where id_hash = $1 and ${ALIVE}`,
        [hash, idleS, absoluteS, JSON.stringify(data)],
      );
      return rowCount === 1;
    },
    async remove(hash) {
      await query('delete from vazao.sessions where id_hash = $1', [hash]);
    },
    async list(userId) {
      const { rows } = await query<{ hash: Buffer; data: string; startedAt: string; seenAt: string; endsAt: string }>(
        `select id_hash as hash, data, ${toMs('created_at')} as "startedAt", ${toMs('seen_at')} as "seenAt", ${ENDS_AT}
         from vazao.sessions where user_id = $1 and ${ALIVE} order by created_at desc limit ${LISTED_MAX}`,
        [userId, idleS, absoluteS],
      );
      return rows.map(({ hash, data, startedAt, seenAt, endsAt }) => ({
        handle: handleOf(hash),
        data: JSON.parse(data),
        startedAt: Number(startedAt),
        seenAt: Number(seenAt),
        endsAt: Number(endsAt),
      }));
    },
    async removeAll(userId) {
      await query('delete from vazao.sessions where user_id = $1', [userId]);
    },
    clean,
    close: startCleaning(clean, CLEAN_BATCH_MAX, onProblem),
  };
}
